"""Reading files that may be compressed with gzip or Zstandard, in bounded memory."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import zstandard

from pipeline.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import WriteableBuffer

_PIECE_BYTES: Final = 1 << 10
"""Zstandard expands this to 32 MiB at most."""


@contextmanager
def expanded(path: Path) -> Iterator[BinaryIO]:
    """A file, open for reading. The ending .gz or .zst says that it is compressed, in one piece or several.

    Raises:
        OSError: it cannot be opened or read.
        MissingError: it is damaged, which may turn out while it is read.
    """
    try:
        with path.open("rb") as file:
            if path.name.endswith(".gz"):
                yield cast("BinaryIO", gzip.GzipFile(fileobj=file))
            elif path.name.endswith(".zst"):
                yield cast("BinaryIO", io.BufferedReader(_Expanded(file)))
            else:
                yield file
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise MissingError(f"{path} cannot be read: {error}") from error


class _Expanded(io.RawIOBase):
    """Zstandard as a file. The library's own reader does not notice that the end is missing."""

    def __init__(self, file: BinaryIO) -> None:
        self._pieces = _expand(file)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        target = memoryview(buffer)
        count = min(len(target), len(self._left))
        target[:count], self._left = self._left[:count], self._left[count:]
        return count


def _expand(file: BinaryIO) -> Iterator[bytes]:
    expanding = None
    while piece := file.read(_PIECE_BYTES):
        while piece:
            expanding = expanding or zstandard.ZstdDecompressor().decompressobj()
            yield expanding.decompress(piece)
            piece = b""
            if expanding.eof:
                piece, expanding = expanding.unused_data, None
    if expanding is not None:
        raise EOFError("its end is missing")
