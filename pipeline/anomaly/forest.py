"""An isolation forest as plain arrays, and the path lengths of many rows in it.

scikit-learn grows the forest (`training`). It is not asked to score: one call of its `score_samples` takes
ten milliseconds for a single row, and its model files are pickles, which can run code when they are read.

Rows are not walked down the trees node by node. A tree has at most 64 leaves, so a set of its leaves is one 64-bit
number. A node whose comparison sends a row to the right rules out the leaves on its left. The row ends in the leftmost
leaf that no node rules out ("QuickScorer", Lucchese et al. 2015). The leaves that a value rules out in a tree depend
only on where the value stands among the thresholds of its feature, so they are looked up in a table.

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
MAX_LEAVES: Final = 64
"""Of one tree: as many as a 64-bit number has bits."""
MAX_TABLE: Final = 4_000_000
"""Cells of the table of ruled-out leaves, 8 bytes each. An ordinary model has less than a tenth of it."""
_CELLS: Final = 32_768
"""Rows times trees that are looked up at once: their arrays stay in the processor's cache."""
_ALL: Final = (1 << MAX_LEAVES) - 1


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
    _lookup: "_Lookup" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the arrays and prepare the look-up.

        Raises:
            ForestError: the arrays do not describe trees, or describe too large ones.
        """
        _check(self)
        object.__setattr__(self, "_lookup", _Lookup(self))

    def paths(self, rows: Rows) -> Whole:
        """The path lengths of rows, summed over the trees that count, in `STEPS`; short paths are anomalies."""
        found = np.empty(len(rows), dtype=np.int64)
        at_once = max(1, _CELLS // len(self.roots))
        for first in range(0, len(rows), at_once):
            lengths = self._lookup.lengths(rows[first : first + at_once])
            lengths.partition(self.counted - 1, axis=1)
            found[first : first + at_once] = lengths[:, : self.counted].sum(axis=1)
        return found

    def score(self, paths: int) -> float:
        """The usual score of an isolation forest, from 0 to 1, of a sum of path lengths; high is anomalous."""
        mean = paths / (STEPS * self.counted)
        return float(2.0 ** (-mean / self.normal_path))


class _Lookup:
    """The tables that give the path lengths of rows.

    Args:
        forest: checked.

    Raises:
        ForestError: a tree has too many leaves, or the tables would be too large.
    """

    def __init__(self, forest: Forest) -> None:
        trees = len(forest.roots)
        under, first_leaf = _leaves(forest)
        inner = np.flatnonzero(forest.feature != LEAF)
        tree_of = np.searchsorted(forest.roots, inner, side="right") - 1
        column_of = forest.feature[inner]
        # A slot is a pair of tree and feature that the tree compares. Cell 0 rules out nothing, for unused slots.
        pairs, slot_of = np.unique(np.stack((tree_of, column_of)), axis=1, return_inverse=True)
        number_in_tree = np.arange(pairs.shape[1]) - np.searchsorted(pairs[0], pairs[0], side="left")
        width = int(number_in_tree.max()) + 1 if len(number_in_tree) else 1
        self._columns = np.unique(column_of).astype(np.intp)
        self._thresholds = [np.unique(forest.threshold[inner[column_of == one]]) for one in self._columns]
        positions = {
            int(one): len(found) + 1 for one, found in zip(self._columns, self._thresholds, strict=True)
        }
        sizes = np.array([positions[int(one)] for one in pairs[1]], dtype=np.int64)
        if sizes.sum() > MAX_TABLE:
            raise ForestError(
                f"its tables would have {sizes.sum():,} cells; at most {MAX_TABLE:,} are allowed"
            )
        begins = 1 + np.cumsum(sizes) - sizes
        self._table = np.full(1 + int(sizes.sum()), _ALL, dtype=np.uint64)
        for node, slot in zip(inner.tolist(), slot_of.ravel().tolist(), strict=True):
            known = self._thresholds[int(np.searchsorted(self._columns, forest.feature[node]))]
            begin, end = begins[slot], begins[slot] + sizes[slot]
            ruled_out = ((1 << int(under[forest.child[node]])) - 1) << int(first_leaf[node])
            position = int(np.searchsorted(known, forest.threshold[node])) + 1
            self._table[begin + position : end] &= np.uint64(_ALL ^ ruled_out)
        # By number of the slot in its tree, then by tree: where its cells begin, and which position leads to one of
        # them. The last position is always 0, for slots that are not used.
        self._begin = np.zeros((width, trees), dtype=np.intp)
        self._position = np.full((width, trees), len(self._columns), dtype=np.intp)
        self._begin[number_in_tree, pairs[0]] = begins
        self._position[number_in_tree, pairs[0]] = np.searchsorted(self._columns, pairs[1])
        self._first = np.arange(trees, dtype=np.intp) * MAX_LEAVES
        self._length = np.zeros(trees * MAX_LEAVES, dtype=np.int64)
        leaves = np.flatnonzero(forest.feature == LEAF)
        tree = np.searchsorted(forest.roots, leaves, side="right") - 1
        self._length[tree * MAX_LEAVES + first_leaf[leaves]] = forest.child[leaves]

    def lengths(self, rows: Rows) -> Whole:
        """The path length of each row in each tree, in `STEPS`; one row per row, one column per tree."""
        position = np.zeros((len(rows), len(self._columns) + 1), dtype=np.intp)
        for number, (column, thresholds) in enumerate(zip(self._columns, self._thresholds, strict=True)):
            # A value at the threshold goes left, so only smaller thresholds send it to the right.
            position[:, number] = thresholds.searchsorted(rows[:, column])
        left = np.full((len(rows), len(self._first)), _ALL, dtype=np.uint64)
        for begin, chosen in zip(self._begin, self._position, strict=True):
            left &= self._table.take(position[:, chosen] + begin)
        leaf = np.bitwise_count((left & (~left + np.uint64(1))) - np.uint64(1)).astype(np.intp)
        leaf += self._first
        return self._length.take(leaf)


def _leaves(forest: Forest) -> tuple[Whole, Whole]:
    """By node, how many leaves are under it, and the number of its leftmost leaf in its tree.

    Raises:
        ForestError: a tree has more than `MAX_LEAVES`.
    """
    feature, child = forest.feature.tolist(), forest.child.tolist()
    under = [1] * len(feature)
    first_leaf = [0] * len(feature)
    # Children stand behind their parents.
    for node in range(len(feature) - 1, -1, -1):
        if feature[node] != LEAF:
            under[node] = under[child[node]] + under[child[node] + 1]
    for node, left in enumerate(child):
        if feature[node] != LEAF:
            first_leaf[left] = first_leaf[node]
            first_leaf[left + 1] = first_leaf[node] + under[left]
    most = max(under[root] for root in forest.roots.tolist())
    if most > MAX_LEAVES:
        raise ForestError(f"a tree has {most:,} leaves; at most {MAX_LEAVES} are allowed")
    return np.array(under, dtype=np.int64), np.array(first_leaf, dtype=np.int64)


def _check(forest: Forest) -> None:
    """Refuse arrays that are no trees: in trees each node is a root or the child of one node that stands before it."""
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
    if not np.array_equal(np.sort(np.concatenate((left, left + 1, roots))), np.arange(size)):
        raise ForestError("a node has two parents, or none")
