"""Files that commands write to. Their errors name the file, because the system does not, for example on a full disk."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from pipeline.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

STANDARD_OUTPUT: Final = "standard output"


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Name the file in an error of the operating system.

    BrokenPipeError passes unchanged: if the reader went away, a command ends without a message.

    Raises:
        MissingError: the file cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MissingError(f"{name} cannot be written: {error.strerror or error}") from error


class Output:
    """A file whose errors name it, also those that come only when it is flushed or closed.

    Args:
        file: the open file.
        name: the name in errors.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name

    @classmethod
    def to_path(cls, path: Path | str) -> Self:
        """Make or empty a file.

        Raises:
            MissingError: the file cannot be written.
        """
        with naming(str(path)):
            return cls(Path(path).open("wb"), str(path))

    @classmethod
    def standard(cls) -> Self:
        """Standard output.

        Raises:
            MissingError: this process was started with standard output closed.
        """
        if sys.stdout is None:
            raise MissingError(f"{STANDARD_OUTPUT} is closed; send it to a file or to /dev/null")
        return cls(sys.stdout.buffer, STANDARD_OUTPUT)

    def write(self, data: bytes) -> None:
        """Write the bytes. They may stay in a buffer until a flush."""
        with naming(self._name):
            self._file.write(data)

    def flush(self) -> None:
        """Write what is in the buffer."""
        with naming(self._name):
            self._file.flush()

    def sync(self) -> None:
        """Write everything to the disk, so that it outlives a power cut."""
        with naming(self._name):
            self._file.flush()
            os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with naming(self._name):
            self._file.close()


def print_json(value: object) -> None:
    """Write a value to standard output as one line of JSON, for programs."""
    with naming(STANDARD_OUTPUT):
        sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()
