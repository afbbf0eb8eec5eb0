"""Files that only their owner may read: state holds personal data."""

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
    """Whatever this process, or a process that it starts, creates while the block lasts is its owner's alone."""
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def make_private(directory: Path, is_ours: Callable[[str], bool]) -> None:
    """Make a directory, or take the rights of others away from one that exists, and from what is ours in it.

    The directory itself is left as it is where something else lies in it, too: somebody may have named `/tmp`.

    Args:
        directory: that a person named in the settings.
        is_ours: whether an entry of this name in it is ours.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
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
        # RocksDB and Kafka delete files while they run.
        return
