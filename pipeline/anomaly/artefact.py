"""A model file: everything that scoring, explaining and watching need, as plain arrays and text.

The file is `MAGIC`, one byte for the form, the SHA-256 of the rest, and the rest: one msgpack document. It holds
no pickle, so reading it runs no code of the file. skops still rebuilds scikit-learn objects and is bound to their
version. ONNX needs a runtime of 15 MB for 30 lines of walking trees. So the forest is stored as arrays.

A reader checks the size, the form and the checksum before it parses anything, and every array before it is used.
"""

from hashlib import sha256
from typing import Annotated, Final

import msgspec
import numpy as np

from pipeline.anomaly.features import FEATURE_NAMES
from pipeline.anomaly.forest import Forest
from pipeline.events.foreign import packed_reader, shortened, shown

MAGIC: Final = b"OTTMODEL"
FORM: Final = 1
"""Goes up with every change of the document or of the meaning of a feature."""
MAX_BYTES: Final = 900_000
"""A model travels as one record of a topic, and Kafka's default limit for a record is 1 MB."""
_HEAD: Final = len(MAGIC) + 1 + sha256().digest_size
_LIMITS: Final = {"trees": 1_000, "bins": 64}
_Text = Annotated[str, msgspec.Meta(max_length=1_000)]
"""Cards are listed with each model, so a card must not be as long as a file."""


class ModelError(ValueError):
    """A model file that cannot be used; the message names the file and says why."""


class Usual(msgspec.Struct, frozen=True):
    """What is usual of one feature in training.

    Attributes:
        name: the feature.
        median: half of the scored minutes have at most this.
        low: one in a hundred has less.
        high: one in a hundred has more.
        edges: upper bounds of the bins for drift, ascending; the last bin is open.
        shares: share of the scored minutes in each bin; one more than edges.
    """

    name: str
    median: float
    low: float
    high: float
    edges: tuple[float, ...]
    shares: tuple[float, ...]


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model card: what a privacy officer and a data scientist ask first.

    Attributes:
        name: of the model, for people.
        purpose: what it is for, and what it is not for.
        data: what it was trained on.
        left_out: what it does not look at.
        first_event: the earliest minute of training, RFC 3339.
        last_event: the latest.
        users: users in training.
        minutes: scored minutes that the trees were grown from.
        calibration_minutes: scored minutes of other users, later, that the threshold was set with.
        alert_rate: the share of these that was to alert.
        parameters: of the training.
        libraries: versions of what it was trained with.
    """

    name: _Text
    purpose: _Text
    data: _Text
    left_out: _Text
    first_event: _Text
    last_event: _Text
    users: int
    minutes: int
    calibration_minutes: int
    alert_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    parameters: dict[str, int | float]
    libraries: dict[str, str]


class _Arrays(msgspec.Struct, frozen=True):
    """A forest, little-endian."""

    feature: bytes
    threshold: bytes
    child: bytes
    roots: bytes
    counted: int
    normal_path: float


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    features: tuple[str, ...]
    usual: tuple[Usual, ...]
    score: Usual
    alert_below: Annotated[int, msgspec.Meta(ge=0)]
    card: Card
    forest: _Arrays


_read_document: Final = packed_reader(_Document)


class Model(msgspec.Struct, frozen=True, eq=False):
    """A model in use.

    Attributes:
        version: names it in verdicts: made of the content of its file.
        forest: the trees.
        usual: of every feature, in the order of `FEATURES`.
        score: the same of the score.
        alert_below: a row alerts when its summed path length is below this, in steps of the forest.
        card: the model card.
    """

    version: str
    forest: Forest
    usual: tuple[Usual, ...]
    score: Usual
    alert_below: int
    card: Card

    @property
    def threshold(self) -> float:
        """The score above which a row alerts, for people; the comparison itself is of whole numbers."""
        return self.forest.score(self.alert_below)


def write_model(model: Model) -> bytes:
    """The file of a model.

    Raises:
        ModelError: the file would be larger than one may be.
    """
    forest = model.forest
    arrays = _Arrays(
        forest.feature.astype("<i1").tobytes(),
        forest.threshold.astype("<f4").tobytes(),
        forest.child.astype("<i4").tobytes(),
        forest.roots.astype("<i4").tobytes(),
        forest.counted,
        forest.normal_path,
    )
    document = _Document(FEATURE_NAMES, model.usual, model.score, model.alert_below, model.card, arrays)
    body = msgspec.msgpack.encode(document)
    if _HEAD + len(body) > MAX_BYTES:
        raise ModelError(
            f"the model has {_HEAD + len(body):,} bytes; at most {MAX_BYTES:,} are allowed: "
            "train it with fewer trees or smaller samples"
        )
    return b"%b%c%b%b" % (MAGIC, FORM, sha256(body).digest(), body)


def read_model(data: bytes, name: str) -> Model:
    """The model in a file.

    Args:
        data: the bytes of the file; the caller may stop reading at `MAX_BYTES` + 1.
        name: how messages name the file.

    Raises:
        ModelError: it is no model, or damaged, or of another form or feature list.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(f"{name}: has more than {MAX_BYTES:,} bytes, which no model has")
    if data[: len(MAGIC)] != MAGIC or len(data) < _HEAD:
        raise ModelError(f"{name}: is not a model file; `ott model train` writes one")
    form = data[len(MAGIC)]
    if form != FORM:
        age = "a newer version of ott" if form > FORM else "an older version of ott"
        raise ModelError(
            f"{name}: has form {form}, written by {age}; this one reads form {FORM}: train it again"
        )
    body = data[_HEAD:]
    if sha256(body).digest() != data[len(MAGIC) + 1 : _HEAD]:
        raise ModelError(
            f"{name}: its checksum does not fit: the file was cut off or changed; fetch it again"
        )
    try:
        return _opened(_read_document(body), sha256(body).hexdigest()[:16])
    except ValueError as error:
        raise ModelError(f"{name}: {error}") from None


def _opened(document: _Document, version: str) -> Model:
    if document.features != FEATURE_NAMES:
        ours, theirs = set(FEATURE_NAMES), set(document.features)
        differing = sorted(ours ^ theirs) or ["their order"]
        raise ValueError(
            f"was trained on another list of features ({shortened(', '.join(differing))}); train it again"
        )
    if tuple(usual.name for usual in document.usual) != FEATURE_NAMES:
        raise ValueError("does not say for every feature what is usual")
    for usual in (*document.usual, document.score):
        _check_usual(usual)
    forest = _forest(document.forest)
    if int(forest.feature.max()) >= len(FEATURE_NAMES):
        raise ValueError("its trees compare a feature that does not exist")
    if len(forest.roots) > _LIMITS["trees"]:
        raise ValueError(f"has {len(forest.roots)} trees; at most {_LIMITS['trees']} are allowed")
    return Model(version, forest, document.usual, document.score, document.alert_below, document.card)


def _forest(arrays: _Arrays) -> Forest:
    def column(data: bytes, kind: str) -> np.ndarray:
        return np.frombuffer(data, dtype=np.dtype(kind))

    return Forest(
        column(arrays.feature, "<i1"),
        column(arrays.threshold, "<f4"),
        column(arrays.child, "<i4"),
        column(arrays.roots, "<i4"),
        arrays.counted,
        arrays.normal_path,
    )


def _check_usual(usual: Usual) -> None:
    numbers = np.array((usual.median, usual.low, usual.high, *usual.edges, *usual.shares), dtype=np.float64)
    sizes_fit = len(usual.shares) == len(usual.edges) + 1 <= _LIMITS["bins"]
    in_order = list(usual.edges) == sorted(usual.edges)
    if not sizes_fit or not np.isfinite(numbers).all() or not in_order or min(usual.shares) < 0:
        raise ValueError(f"what it says is usual of {shown(usual.name)} is no distribution")
