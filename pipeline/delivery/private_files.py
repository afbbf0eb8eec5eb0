"""Files that only their owner may read, because state contains personal data."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OTHERS: Final = 0o077


@contextmanager
def private_umask() -> Iterator[None]:
    """Make files private that this process, or a process that it starts, creates while the block lasts."""
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def make_private(directory: Path, is_ours: Callable[[str], bool]) -> None:
    """Create a directory, or remove the rights of others from an existing one and from our entries in it.

    A directory with other entries keeps its own rights, because somebody may have named `/tmp`.

    Args:
        directory: named in the settings.
        is_ours: whether an entry with this name is ours.

    Raises:
        OSError: it cannot be created, or belongs to another user.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    entries = list(directory.iterdir())
    for entry in entries:
        if is_ours(entry.name):
            _tighten_all(entry)
    if all(is_ours(entry.name) for entry in entries):
        _tighten(directory)


def _tighten_all(path: Path) -> None:
    _tighten(path)
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            _tighten_all(entry)


def _tighten(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
        if mode & _OTHERS and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
    except FileNotFoundError:
        # RocksDB or Kafka deleted the file meanwhile.
        return
