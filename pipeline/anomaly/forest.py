"""An isolation forest as plain arrays, and the path lengths of many rows in it.

scikit-learn grows the forest (`training`). It is not asked to score: one call of its `score_samples` takes
ten milliseconds for a single row, and its model files are pickles, which can run code when they are read.

A leaf's path length is kept in whole steps of 1/65,536. The sum over the trees is therefore a whole number,
the same on every machine and for every size of batch, and an alert is a comparison of two whole numbers.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.anomaly.features import Rows, Whole

STEPS: Final = 65_536
"""Steps of one edge of a path."""
LEAF: Final = -1
MAX_DEPTH: Final = 64
_CELLS: Final = 65_536
"""Rows times trees that are walked at once: their arrays stay in the processor's cache."""


class ForestError(ValueError):
    """Arrays that are no forest; the message says what is wrong with them."""


@dataclass(frozen=True, eq=False)
class Forest:
    """The trees, one node after the other; a right child stands behind its left one.

    A row's path length is the sum over the `counted` trees that isolate it soonest. A window that is odd in one
    respect is isolated at once by the few trees that look at it; over all trees that would be lost in the mean.

    Attributes:
        feature: by node, the column that it compares; `LEAF` for a leaf.
        threshold: by node; a row whose value is at most this goes left.
        child: by node, the left child, which stands behind its parent; for a leaf its path length in `STEPS`.
        roots: the root of each tree, in ascending order, the first at 0.
        counted: how many of the trees count for a row, at least 1.
        normal_path: the mean path length of an ordinary sample of the training's size, in edges.
    """

    feature: NDArray[np.int8]
    threshold: NDArray[np.float32]
    child: NDArray[np.int32]
    roots: NDArray[np.int32]
    counted: int
    normal_path: float
    _depth: int = field(init=False, repr=False)
    _column: NDArray[np.intp] = field(init=False, repr=False)
    _limit: NDArray[np.float32] = field(init=False, repr=False)
    _next: NDArray[np.intp] = field(init=False, repr=False)
    _path: Whole = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the arrays and prepare the walk.

        Raises:
            ForestError: the arrays do not describe trees.
        """
        _check(self)
        depth = _depth_of(self)
        leaf = self.feature == LEAF
        nodes = np.arange(len(self.feature))
        # A row that has come to a leaf stays there: nothing is greater than infinity, and a leaf is its own child.
        set_field = object.__setattr__
        set_field(self, "_depth", depth)
        set_field(self, "_column", np.where(leaf, 0, self.feature).astype(np.intp))
        set_field(self, "_limit", np.where(leaf, np.float32(np.inf), self.threshold))
        set_field(self, "_next", np.where(leaf, nodes, self.child).astype(np.intp))
        set_field(self, "_path", np.where(leaf, self.child, 0).astype(np.int64))

    def paths(self, rows: Rows) -> Whole:
        """The path lengths of rows, summed over the trees that count, in `STEPS`; short paths are anomalies."""
        found = np.empty(len(rows), dtype=np.int64)
        at_once = max(1, _CELLS // len(self.roots))
        for first in range(0, len(rows), at_once):
            found[first : first + at_once] = self._walk(rows[first : first + at_once])
        return found

    def score(self, paths: int) -> float:
        """The usual score of an isolation forest, from 0 to 1, of a sum of path lengths; high is anomalous."""
        mean = paths / (STEPS * self.counted)
        return float(2.0 ** (-mean / self.normal_path))

    def _walk(self, rows: Rows) -> Whole:
        count, columns = rows.shape
        values = np.ascontiguousarray(rows).ravel()
        first = (np.arange(count, dtype=np.intp) * columns)[:, None]
        node = np.repeat(self.roots.astype(np.intp)[None, :], count, axis=0)
        for _ in range(self._depth):
            greater = values.take(first + self._column.take(node)) > self._limit.take(node)
            node = self._next.take(node)
            node += greater
        lengths = self._path.take(node)
        lengths.partition(self.counted - 1, axis=1)
        total: Whole = lengths[:, : self.counted].sum(axis=1)
        return total


def _check(forest: Forest) -> None:
    """Refuse arrays that could make a walk leave them or never end: children stand behind their parents."""
    feature, child, roots = forest.feature, forest.child, forest.roots
    size = len(feature)
    if not size or not len(roots) or len(forest.threshold) != size or len(child) != size:
        raise ForestError("its arrays differ in length or are empty")
    if roots[0] != 0 or bool(np.any(np.diff(roots) <= 0)) or roots[-1] >= size:
        raise ForestError("its trees do not follow each other")
    if not np.isfinite(forest.normal_path) or forest.normal_path <= 0:
        raise ForestError("its normal path length is no positive number")
    if not 1 <= forest.counted <= len(roots):
        raise ForestError("it counts more trees than it has, or none")
    leaf = feature == LEAF
    if bool(np.any(feature < LEAF)) or bool(np.any(child[leaf] < 0)):
        raise ForestError("a node has no valid feature or path length")
    inner = np.flatnonzero(~leaf)
    if not bool(np.all(np.isfinite(forest.threshold[inner]))):
        raise ForestError("a threshold is not finite")
    left = child[inner].astype(np.int64)
    ends = np.append(roots[1:], size)[np.searchsorted(roots, inner, side="right") - 1]
    if bool(np.any(left <= inner)) or bool(np.any(left + 1 >= ends)):
        raise ForestError("a node's children lie outside of its tree or before it")


def _depth_of(forest: Forest) -> int:
    """The depth of the deepest tree."""
    depth, level = 0, forest.roots.astype(np.int64)
    while True:
        level = level[forest.feature[level] != LEAF]
        if not len(level):
            return depth
        depth += 1
        # In trees, no two nodes share a child, so a level never has more nodes than the forest.
        if depth > MAX_DEPTH or len(level) > len(forest.feature):
            raise ForestError(f"a tree is deeper than {MAX_DEPTH}, or two nodes share a child")
        left = forest.child[level].astype(np.int64)
        level = np.concatenate((left, left + 1))
