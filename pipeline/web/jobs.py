"""Commands of `ott` that the web starts on a person's behalf.

Judging history takes minutes of processor time and much memory. A worker has partitions to judge meanwhile, so it
starts the command as a child process with a low priority, and never judges history itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.leash import Leashed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.settings.schema import Settings

OUTPUT_BYTES: Final = 16 << 20
"""The largest output of a command. A command that writes more fails."""

# The directory has no ott.toml, which would add settings that the worker does not have.
_SHELL: Final = 'cd "$0" && ulimit -f "$1" && shift && exec nice -n 10 "$@" >output'
_BLOCK: Final = 512
"""The unit of `ulimit -f`, by POSIX."""
_GRACE_S: Final = 2.0
_LOOK_S: Final = 0.2


class Finished(NamedTuple):
    """A command that has ended by itself.

    Attributes:
        status: its exit status (docs/operations.md).
        output: its standard output.
        message: its error message without the name of the command; empty if it had no error.
    """

    status: int
    output: bytes
    message: str


async def run_command(
    settings: Settings,
    arguments: Sequence[str],
    *,
    limit_s: float,
    files: Mapping[str, bytes] | None = None,
    told: Callable[[str], object] | None = None,
) -> Finished:
    """Run a command of `ott` with the worker's settings in a private directory, and wait for its end.

    If the caller is cancelled, or this process ends in whatever way, the command is stopped.

    Args:
        settings: of the worker.
        arguments: of `ott`.
        limit_s: seconds after which the command is stopped.
        files: are in the directory where the command runs, by name.
        told: is called in another thread, with all that the command has written to standard error so far.

    Raises:
        TimeoutError: the command was stopped because of the time limit.
        OSError: the command cannot be started, or the disk is full.
    """
    stop = threading.Event()
    command = [sys.executable, "-P", "-m", "pipeline.cli", *arguments]
    try:
        return await asyncio.to_thread(_run, settings, command, limit_s, files or {}, told, stop)
    finally:
        stop.set()


def _run(
    settings: Settings,
    command: Sequence[str],
    limit_s: float,
    files: Mapping[str, bytes],
    told: Callable[[str], object] | None,
    stop: threading.Event,
) -> Finished:
    others = {name: value for name, value in os.environ.items() if not name.startswith("OTT_")}
    # Only the owner may read the directory.
    with TemporaryDirectory(prefix="ott-") as name:
        directory = Path(name)
        for file, data in files.items():
            (directory / file).write_bytes(data)
        messages = directory / "messages"
        with messages.open("wb") as written:
            child = Leashed(
                ["sh", "-c", _SHELL, name, str(OUTPUT_BYTES // _BLOCK), *command],
                output=written,
                env=others | settings.environment(),
                grace_s=_GRACE_S,
            )
        deadline = time.monotonic() + limit_s
        try:
            while (status := child.exit_code) is None and not stop.wait(_LOOK_S):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"stopped after {limit_s:,.0f} s")
                if told is not None:
                    told(_text(messages))
        finally:
            child.stop()
        said = _text(messages)
        if told is not None:
            told(said)
        if status is None:
            # The caller was cancelled, so nobody takes the result.
            return Finished(-1, b"", "stopped")
        output = directory / "output"
        return Finished(status, output.read_bytes() if output.exists() else b"", _error(said, status))


def _text(file: Path) -> str:
    return file.read_text("utf-8", "replace")


def _error(messages: str, status: int) -> str:
    """The last message that begins with the name of the command."""
    found = re.split("^ott: ", messages, flags=re.MULTILINE)
    if len(found) > 1:
        return found[-1].strip()
    return f"the command ended with status {status} and said nothing" if status else ""
