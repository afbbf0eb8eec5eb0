"""Training: from scored minutes to a model with a calibrated threshold.

The minutes are split by user and by time. The trees grow from the earlier minutes of most users; the threshold is
set with the later minutes of the others, so it holds for users and times that the trees have not seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from math import ceil
from typing import Final, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from pipeline.anomaly.artefact import Card, Model, Usual, read_model, write_model
from pipeline.anomaly.drift import bins_of
from pipeline.anomaly.features import FEATURES, Rows, Whole
from pipeline.anomaly.forest import LEAF, MAX_LEAVES, STEPS, Forest, ForestError
from pipeline.events.instants import format_instant

_MINUTE_MS: Final = 60_000
_EARLY_SHARE: Final = 0.6
_HELD_OUT_IN: Final = 3
"""One user in so many is held out."""
FEWEST_MINUTES: Final = 1_000
_WHOLE: Final = np.array([feature.unit != "ratio" for feature in FEATURES])
"""By column, whether its values are whole numbers."""
_DECOYS: Final = 0.15
"""Share of decoys among the rows that trees grow from."""
_DECOY_REACH: Final = 1.6
"""A decoy's odd value lies between the smallest of training and so many times the range above it."""


class _GrownTree(Protocol):
    """What is read of one tree of scikit-learn, by node."""

    children_left: NDArray[np.int64]
    children_right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    n_node_samples: NDArray[np.int64]


class TrainingError(ValueError):
    """Data that no model can be trained on; the message says what is missing."""


@dataclass(frozen=True)
class Parameters:
    """How to train.

    Attributes:
        seed: of all chance.
        alert_rate: share of the scored minutes that is to alert.
        trees: of the forest.
        counted: how many of them count for a row: those that isolate it soonest.
        samples: scored minutes that each tree grows from.
        columns: features that each tree looks at.
    """

    seed: int = 1
    alert_rate: float = 0.001
    trees: int = 96
    counted: int = 12
    samples: int = 2_048
    columns: int = 5


@dataclass
class Minutes:
    """Scored minutes, one row each.

    Attributes:
        rows: the features.
        users: by row, the user.
        minutes: by row, the event-time minute, in minutes since 1970.
    """

    rows: Rows
    users: Sequence[str]
    minutes: Whole
    held_out: NDArray[np.bool_] = field(init=False, repr=False)
    """By row, whether its user is one of those that the trees do not see."""

    def __post_init__(self) -> None:
        """Draw the users that are held out, by a hash: the same user always falls on the same side."""
        known = {
            user: xxhash.xxh3_64_intdigest(user.encode()) % _HELD_OUT_IN == 0 for user in set(self.users)
        }
        self.held_out = np.array([known[user] for user in self.users], dtype=np.bool_)

    def split(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows to grow trees from (earlier, most users), and to calibrate with (later, the others)."""
        cut = np.quantile(self.minutes, _EARLY_SHARE)
        early = self.minutes <= cut
        return np.flatnonzero(early & ~self.held_out), np.flatnonzero(~early & self.held_out)


def train(data: Minutes, parameters: Parameters, described: str) -> Model:
    """A model of scored minutes.

    Args:
        data: the scored minutes.
        parameters: how to train.
        described: what the data is, for the model card.

    Raises:
        TrainingError: there is too little data.
        ModelError: the model would be too large to travel.
    """
    if not 0 < parameters.alert_rate < 1:
        raise TrainingError(f"an alert rate of {parameters.alert_rate} is no share between 0 and 1")
    if len(data.rows) < FEWEST_MINUTES:
        raise TrainingError(
            f"{len(data.rows):,} scored minutes are too few to train on; at least {FEWEST_MINUTES:,} are needed"
        )
    fitting, calibrating = data.split()
    needed = ceil(1 / parameters.alert_rate)
    if len(calibrating) < needed:
        raise TrainingError(
            f"{len(calibrating):,} later minutes of other users are too few for an alert rate of "
            f"{parameters.alert_rate:g}; give {needed:,} or more of them, or a higher rate"
        )
    if len(fitting) < parameters.samples:
        raise TrainingError(
            f"{len(fitting):,} minutes to grow trees from are fewer than a sample of {parameters.samples:,}"
        )
    rows = data.rows[fitting]
    forest = grow(rows, parameters)
    paths = forest.paths(data.rows[calibrating])
    # Just above the path length at the rate; where many minutes share it none of them alerts.
    ordered = np.sort(paths)
    alert_below = int(ordered[int(parameters.alert_rate * len(ordered))])
    usual = tuple(
        _usual(feature.name, rows[:, column].astype(np.float64)) for column, feature in enumerate(FEATURES)
    )
    scores = np.array([forest.score(path) for path in forest.paths(rows).tolist()])
    card = _card(data, fitting, calibrating, parameters, described)
    unnamed = Model("", forest, usual, _usual("score", scores), alert_below, card)
    # The version is made of the file, so the model is read back from it.
    return read_model(write_model(unnamed), "the new model")


def grow(rows: Rows, parameters: Parameters) -> Forest:
    """An isolation forest of rows, grown by scikit-learn and taken over as arrays.

    Raises:
        TrainingError: the forest would be too large.
    """
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - takes a second, and only training needs it

    chance = np.random.default_rng(parameters.seed)
    seen = _with_decoys(rows, chance)
    parts: list[tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32]]] = []
    roots, size = [], 0
    for columns in _dealt(rows.shape[1], parameters, chance):
        grown = IsolationForest(
            n_estimators=1, max_samples=parameters.samples, random_state=int(chance.integers(2**31))
        ).fit(seen[:, columns])
        part = _tree(grown.estimators_[0].tree_, columns, size)
        roots.append(size)
        size += len(part[0])
        parts.append(part)
    try:
        return Forest(
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
            np.concatenate([part[2] for part in parts]),
            np.array(roots, dtype=np.int32),
            parameters.counted,
            float(_normal_path(np.array([parameters.samples]))[0]),
        )
    except ForestError as error:
        raise TrainingError(f"the forest is too large: {error}; train it with fewer trees") from None


def _dealt(features: int, parameters: Parameters, chance: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """The columns of each tree, dealt like cards: all features are in the same number of trees.

    Drawn anew for each tree, some features would be in a third as many trees as others, and what is odd in them would
    be found or not by the luck of the seed.
    """
    hands: list[NDArray[np.intp]] = []
    for _ in range(parameters.trees):
        hands = hands or np.array_split(chance.permutation(features), max(1, features // parameters.columns))
        yield hands.pop()


def _with_decoys(rows: Rows, chance: np.random.Generator) -> Rows:
    """The rows, and copies of some of them with one feature far out.

    A tree cannot split a feature that never varies in its sample, so without decoys a forest is blind to whatever
    ordinary users never do.
    """
    count = int(_DECOYS * len(rows))
    decoys = rows[chance.integers(len(rows), size=count)].copy()
    columns = chance.integers(rows.shape[1], size=count)
    lowest, highest = rows.min(axis=0), rows.max(axis=0)
    reach = _DECOY_REACH * np.maximum(highest - lowest, 1)
    decoys[np.arange(count), columns] = lowest[columns] + chance.random(count) * reach[columns]
    return np.concatenate((rows, decoys))


def _tree(
    tree: _GrownTree, columns: NDArray[np.intp], first: int
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32]]:
    """One tree in our order: level by level, so that a right child stands behind its left one.

    It ends where it has `MAX_LEAVES` leaves. What the deepest nodes would still tell apart is ordinary anyway.
    """
    left, right = tree.children_left, tree.children_right
    order, depths = [0], [0]
    kept = np.zeros(len(left), dtype=np.bool_)
    leaves = 1
    for node, depth in zip(order, depths, strict=False):  # grows while it is read
        if left[node] >= 0 and leaves < MAX_LEAVES:
            kept[node] = True
            leaves += 1
            order += [left[node], right[node]]
            depths += [depth + 1, depth + 1]
    place = np.empty(len(left), dtype=np.int64)
    place[order] = np.arange(len(order)) + first
    nodes = np.array(order)
    inner = kept[nodes]
    feature = np.where(inner, columns[tree.feature[nodes]], LEAF).astype(np.int8)
    samples = tree.n_node_samples[nodes]
    length = np.round((np.array(depths) + _normal_path(samples)) * STEPS)
    child = np.where(inner, place[left[nodes]], length).astype(np.int32)
    # A whole number is above a threshold where it is above the whole number below it. So many thresholds become equal,
    # and the tables of the forest small.
    thresholds = np.where(_WHOLE[feature], np.floor(tree.threshold[nodes]), tree.threshold[nodes])
    return feature, _rounded_down(thresholds), child


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest 32-bit number at or below each: a 32-bit feature falls on the same side of both."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(
        np.float32
    )


def _normal_path(samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean depth of an unsuccessful search in a binary tree of so many samples (Liu, Ting and Zhou 2008)."""
    n = samples.astype(np.float64)
    long = 2 * (np.log(np.maximum(n, 2) - 1) + np.euler_gamma) - 2 * (n - 1) / np.maximum(n, 1)
    return np.where(n > 2, long, np.where(n == 2, 1.0, 0.0))  # noqa: PLR2004 - by definition


def _usual(name: str, values: NDArray[np.float64]) -> Usual:
    low, median, high = np.quantile(values, (0.01, 0.5, 0.99), method="nearest").tolist()
    return Usual(name, median, low, high, *bins_of(values))


def _card(
    data: Minutes,
    fitting: NDArray[np.intp],
    calibrating: NDArray[np.intp],
    parameters: Parameters,
    described: str,
) -> Card:
    return Card(
        name="isolation forest of users' hours",
        purpose=(
            "Points out hours that differ from most, for a person to look at. It decides nothing about a person, "
            "and an unusual hour is no proof of misuse."
        ),
        data=described,
        left_out=(
            "Age and consent are not read. The region is read only to count regions and to know when it is night; "
            "which region it is reaches no feature."
        ),
        first_event=format_instant(int(data.minutes.min()) * _MINUTE_MS),
        last_event=format_instant(int(data.minutes.max()) * _MINUTE_MS),
        users=len(set(data.users)),
        minutes=len(fitting),
        calibration_minutes=len(calibrating),
        alert_rate=parameters.alert_rate,
        parameters={key: value for key, value in asdict(parameters).items() if key != "alert_rate"},
        libraries={name: version(name) for name in ("scikit-learn", "numpy")},
    )
