"""Which anomaly model scores a partition: the newest good one that was published, or none.

`model-config` has each model under `model/VERSION`. The record under `in-force` names the one that is to score; a
tombstone there means none. Writers put all records into partition 0, so they have one order, and a model comes before
the record that names it. A partition's state has only the version of its model, because the topic keeps the models.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from pipeline.anomaly.artefact import Model, ModelError, read_model
from pipeline.anomaly.scoring import NotEvaluated
from pipeline.bounded import BoundedDict
from pipeline.evaluation.rule_book import Refused
from pipeline.events.foreign import UnreadableError, json_reader, shown
from pipeline.events.instants import LATEST_MS

MODEL_KEYS: Final = b"model/"
IN_FORCE_KEY: Final = b"in-force"
IN_FORCE_SCHEMA: Final = "model-in-force/1"

NONE: Final = "none"
"""Stands for "no model" where a version would stand. The version of a model is 16 hexadecimal digits."""

KEPT: Final = 8
"""Files of models that a worker keeps: those that were written last, each of at most 900,000 bytes."""
_PARSED: Final = 3
_LONGEST_VERSION: Final = 64
_NEVER: Final = -1


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """The record under `in-force` on `model-config`; the fields in the order of the JSON.

    Attributes:
        schema: name and version of this form.
        version: of the model; it stands on the topic before this record.
        by: who published it: an account, or the user of the machine.
        at: the time of the request, RFC 3339.
    """

    schema: Literal["model-in-force/1"] = IN_FORCE_SCHEMA
    version: Annotated[str, msgspec.Meta(max_length=_LONGEST_VERSION)]
    by: Annotated[str, msgspec.Meta(max_length=100)]
    at: Annotated[str, msgspec.Meta(max_length=40)]


class ModelInForce(msgspec.Struct, frozen=True, array_like=True):
    """The model in force in a partition, as its state has it.

    Attributes:
        version: of the model; `NONE` without one.
        published: the timestamp of the record under `in-force`, in milliseconds since 1970; -1 where there is none.
        offset: the offset of that record; -1 where there is none.
    """

    version: str
    published: int
    offset: int


NOTHING: Final = ModelInForce(NONE, _NEVER, _NEVER)
"""In force where nothing was ever published."""


class ModelFile(NamedTuple):
    """A model on the topic.

    Attributes:
        data: its bytes.
        written: the timestamp of its record, in milliseconds since 1970.
        trained_on: what its card says of that; None if it cannot be used.
        refused: why it cannot be used; None if it can.
    """

    data: bytes
    written: int
    trained_on: str | None
    refused: str | None


_read_publication: Final = json_reader(Publication)


def version_of_key(key: bytes | None) -> str | None:
    """The version in the key of a model; None for another key."""
    if key is None or not key.startswith(MODEL_KEYS) or len(key) > len(MODEL_KEYS) + _LONGEST_VERSION:
        return None
    return key[len(MODEL_KEYS) :].decode("ascii", "replace")


def time_of(timestamp: int) -> int:
    """The timestamp of a record, in milliseconds since 1970; -1 where its writer gave none up to the year 9999."""
    return timestamp if 0 <= timestamp <= LATEST_MS else _NEVER


def publication_of(value: bytes) -> Publication:
    """The record under `in-force`.

    Raises:
        ModelError: it is none.
    """
    try:
        return _read_publication(value)
    except UnreadableError as error:
        raise ModelError(f"the record that puts a model in force cannot be read: {error}") from None


def read_version(data: bytes, version: str) -> Model:
    """A model that stands under the key of a version.

    Raises:
        ModelError: it is none, does not fit this program, or is the model of another version.
    """
    model = read_model(data, f"model {version}")
    if model.version != version:
        raise ModelError(f"model {version}: what stands under its key is model {model.version}")
    return model


def records_of(version: str, data: bytes, by: str, at: str) -> list[tuple[bytes, bytes]]:
    """Key and value of the records that put a model in force. They go to partition 0 in this order.

    The model is written again with each publication. So the models that were in force last are those that were written
    last, and every worker has kept them.
    """
    in_force = Publication(version=version, by=by, at=at)
    return [(MODEL_KEYS + version.encode(), data), (IN_FORCE_KEY, msgspec.json.encode(in_force))]


def examined(data: bytes, version: str) -> Model | ModelError:
    """A model that stands under the key of a version, or why it cannot be used. It takes a tenth of a second."""
    try:
        return read_version(data, version)
    except ModelError as error:
        return error


class ModelBook:
    """The models that a worker knows. The follower of `model-config` calls `offer`, the risk agent the rest.

    Args:
        on_refused: is called with every publication that is refused.
    """

    def __init__(self, on_refused: Callable[[Refused], None] = lambda _: None) -> None:
        self.newest: ModelInForce | None = None
        """The newest good one, or the end of all; None while nothing is known."""
        self.publication: Publication | None = None
        """Who published `newest`; None where no model is in force."""
        self.refused: Refused | None = None
        """The newest publication, if it is refused."""
        self.refusals = 0
        """Publications that were refused since the start."""
        self._on_refused = on_refused
        self._files: BoundedDict[str, ModelFile] = BoundedDict(KEPT)
        self._parsed: BoundedDict[str, Model] = BoundedDict(_PARSED)

    def offer(self, key: bytes | None, value: bytes | None, published: int, offset: int) -> None:
        """Take a record of partition 0 of `model-config` that is newer than all before; any bytes are survived.

        Args:
            key: of the record.
            value: of the record; None for a tombstone.
            published: its timestamp, see `time_of`.
            offset: its offset.
        """
        version = version_of_key(key)
        if version is None:
            if key == IN_FORCE_KEY:
                self._put_in_force(value, published, offset)
        elif value is None:
            self._forget(version)
        else:
            self.keep(version, value, examined(value, version), published)

    def keep(self, version: str, data: bytes, found: Model | ModelError, written: int) -> None:
        """Take a model, as `offer` does, that was examined before: in a thread, so that other tasks go on meanwhile.

        Args:
            version: of the key.
            data: the bytes.
            found: what `examined` gave for them.
            written: the timestamp of the record, see `time_of`.
        """
        known = self._files.get(version)
        if isinstance(found, Model):
            self._parsed[version] = found
            self._files[version] = ModelFile(data, written, found.card.data, None)
        elif known is None or known.refused is not None:
            # The version is made of the content, so only a good model takes the place of a good one.
            self._files[version] = ModelFile(data, written, None, str(found))
        if len(self._files) == KEPT and next(iter(self._files)) == self._in_force:
            # The oldest is dropped next, and the model in force must stay.
            self._files.move_to_end(self._in_force)

    def for_partition(self, in_force: ModelInForce) -> ModelInForce:
        """The model that must be in force in a partition from now on; `in_force` itself where nothing changes.

        A model in force that this worker has not got gives way to the newest good one. The caller has waited until the
        topic was read to its end (`lacks`). So the topic was made anew, or this program cannot read the model.

        Args:
            in_force: the model until now; `NOTHING` where none ever was.
        """
        newest = self.newest
        # Timestamps count because a topic that was created again begins at offset 0, offsets because clocks differ.
        if newest is not None and (newest.offset > in_force.offset or newest.published > in_force.published):
            return in_force if newest.version == in_force.version else newest
        if self.lacks(in_force):
            return NOTHING if newest is None else newest
        return in_force

    def lacks(self, in_force: ModelInForce) -> bool:
        """Whether a partition has a model in force that this worker has not got, or cannot read."""
        return in_force.version != NONE and self.model(in_force) is None

    def model(self, in_force: ModelInForce) -> Model | None:
        """The model that scores; None without one."""
        version = in_force.version
        model = self._parsed.get(version)
        if model is None:
            file = self._files.get(version)
            if file is None or file.refused is not None:
                return None
            model = self._parsed[version] = read_version(file.data, version)
        return model

    @property
    def without_model(self) -> NotEvaluated:
        """Why events have no score in a partition without a model."""
        return NotEvaluated.NO_MODEL if self.refused is None else NotEvaluated.REFUSED_MODEL

    def kept(self) -> Iterator[tuple[str, ModelFile]]:
        """The models that were written last, the newest first; some of them may be refused."""
        return reversed(self._files.items())

    def file(self, version: str) -> ModelFile | None:
        """The file of a version, if it is one of those that were written last."""
        return self._files.get(version)

    @property
    def _in_force(self) -> str:
        return NONE if self.newest is None else self.newest.version

    def _forget(self, version: str) -> None:
        if version != self._in_force:
            self._files.pop(version, None)

    def _put_in_force(self, value: bytes | None, published: int, offset: int) -> None:
        try:
            publication = None if value is None else self._check(publication_of(value))
        except ModelError as error:
            self.refused = Refused(str(error), published, offset)
            self.refusals += 1
            self._on_refused(self.refused)
            return
        self.newest = ModelInForce(NONE if publication is None else publication.version, published, offset)
        self.publication = publication
        self.refused = None

    def _check(self, publication: Publication) -> Publication:
        file = self._files.get(publication.version)
        if file is None:
            raise ModelError(
                f"model {shown(publication.version)} is not one of the {KEPT} that were written last; "
                "publish its file again"
            )
        if file.refused is not None:
            raise ModelError(file.refused)
        return publication
