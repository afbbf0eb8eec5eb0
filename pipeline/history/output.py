"""The output of a replay: parts that become one file in the end, so that a kill loses and doubles nothing.

A partition whose part is complete is named in the manifest beside the output. A second start judges the others, and
begins their parts anew. When all parts are there, they are put together, and the output appears at once.
"""

import gzip
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import msgspec
import zstandard
from filelock import FileLock, Timeout

from pipeline.errors import MissingError, RefusedError
from pipeline.events.foreign import UnreadableError, json_reader
from pipeline.history.survey import PartitionRange
from pipeline.writing import Output, naming

_BLOCK_BYTES: Final = 1 << 20
_COPY_BYTES: Final = 1 << 20
SCHEMA: Final = "replay-manifest/1"


def _compress(name: str) -> Callable[[bytes], bytes]:
    """How a block of a file of this name is written. Gzip and Zstandard allow that blocks follow each other."""
    if name.endswith(".gz"):
        return lambda block: gzip.compress(block, mtime=0)
    if name.endswith(".zst"):
        return zstandard.ZstdCompressor().compress
    return bytes


class Part:
    """The output of one partition while it is written. Use it in a `with` block.

    Args:
        path: of the part.
        name: of the whole output; its ending says how it is compressed.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._file = Output.to_path(path)
        self._compress = _compress(name)
        self._lines = bytearray()

    def write(self, values: Iterable[bytes]) -> None:
        """Add a line for each value."""
        for value in values:
            self._lines += value
            self._lines += b"\n"
        if len(self._lines) >= _BLOCK_BYTES:
            self._write_block()

    def _write_block(self) -> None:
        if self._lines:
            self._file.write(self._compress(bytes(self._lines)))
            self._lines.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._write_block()
                self._file.sync()


class Done(msgspec.Struct, frozen=True):
    """How the records of a finished partition ended (see `PartitionReplay`), and the lines of its part."""

    counts: dict[str, int]
    requests: dict[str, int]
    lines: int


class Manifest(msgspec.Struct):
    """The file beside the output.

    Attributes:
        parameters: what the replay was asked for. A second start must be asked for the same.
        ranges: what is read of each partition.
        sources: by partition of `raw-events`, first offset and end of the range.
        done: the finished partitions.
        subjects: the number of verdicts on titles and devices; None where they are not judged yet.
        complete: whether the output is there.
        published: whether it was published to a topic, too.
        id: of this replay; names what it has on the brokers.
    """

    schema: str
    parameters: dict[str, Any]
    ranges: list[PartitionRange]
    sources: dict[int, tuple[int, int]]
    done: dict[int, Done] = msgspec.field(default_factory=dict)
    subjects: int | None = None
    complete: bool = False
    published: bool = False
    id: str = msgspec.field(default_factory=lambda: uuid4().hex)

    def total(self) -> tuple[Counter[str], Counter[str]]:
        """The sums over the finished partitions: of events, and of requests."""
        events, requests = Counter[str](), Counter[str]()
        for one in self.done.values():
            events.update(one.counts)
            requests.update(one.requests)
        return events, requests


_read_manifest = json_reader(Manifest)


class ReplayOutput:
    """An output file with its manifest and its parts. `locked` gives one that no other process writes.

    Args:
        path: of the output.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest_path = path.with_name(f"{path.name}.manifest.json")

    def manifest(self, parameters: dict[str, Any]) -> Manifest | None:
        """The manifest of an earlier start with these parameters; None where there was none.

        Raises:
            RefusedError: the earlier start had other parameters, or the output is not that of a replay.
        """
        path = self._manifest_path
        if not path.exists():
            if self.path.exists():
                raise RefusedError(f"{self.path} is there already; name another --output, or delete it")
            return None
        with naming(str(path)):
            data = path.read_bytes()
        try:
            found = _read_manifest(data)
        except UnreadableError as error:
            raise RefusedError(
                f"{path} is no manifest of a replay ({error}); delete it and the output to begin anew"
            ) from None
        differing = sorted(
            name
            for name in {*parameters, *found.parameters}
            if parameters.get(name) != found.parameters.get(name)
        )
        if found.schema != SCHEMA or differing:
            what = ", ".join(
                f"{name} {found.parameters.get(name)!r} instead of {parameters.get(name)!r}"
                for name in differing
            )
            raise RefusedError(
                f"{path} is of another replay ({what or found.schema}); name another --output, or delete {path} and "
                f"{self.path} to begin anew"
            )
        if found.complete and not found.published and not self.path.exists():
            raise RefusedError(
                f"{self.path} is gone, and {path} says that it was complete; delete {path} to judge again"
            )
        return found

    def save(self, manifest: Manifest) -> None:
        """Write the manifest. A kill leaves the old one or the new one."""
        with naming(str(self._manifest_path)):
            _replace(self._manifest_path, [msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"])

    def part(self, partition: int) -> Path:
        """The path of the part of a partition."""
        return self._beside(f"part-{partition}")

    @property
    def subjects_part(self) -> Path:
        """The path of the part with the verdicts on titles and devices, which is the last one."""
        return self._beside("part-subjects")

    def rows(self, partition: int) -> tuple[Path, Path]:
        """The paths of what a partition has for titles and devices: of `raw-events`, and of re-keyed events."""
        return self._beside(f"rows-{partition}"), self._beside(f"rekeyed-rows-{partition}")

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def finish(self, manifest: Manifest) -> None:
        """Put the parts together, in the order of their partitions, and say so in the manifest."""
        numbers = [one.partition for one in manifest.ranges]
        parts = [self.part(number) for number in numbers]
        if manifest.subjects is not None:
            parts.append(self.subjects_part)
        if not manifest.complete:
            with naming(str(self.path)):
                _replace(self.path, _pieces(parts))
            manifest.complete = True
            self.save(manifest)
        for path in (*parts, *chain.from_iterable(map(self.rows, numbers))):
            path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[ReplayOutput]:
    """An output that no other process writes meanwhile.

    Raises:
        RefusedError: another replay writes it.
        MissingError: there is no such directory, or it cannot be written.
    """
    if not path.parent.is_dir():
        raise MissingError(f"{path} cannot be written: there is no directory {path.parent}")
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
    with naming(str(path)):
        try:
            lock.acquire()
        except Timeout:
            raise RefusedError(f"{path} is being written by another ott replay; wait for it to end") from None
    try:
        yield ReplayOutput(path)
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _pieces(parts: Iterable[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while piece := file.read(_COPY_BYTES):
                yield piece


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file beside the path, and give it the name when its bytes are on the disk."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
