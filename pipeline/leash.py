"""A child process that cannot outlive the one that started it, not even after a kill -9.

The parent starts this file as a script, the leash, and keeps the write end of its standard input. The pipe
closes with the parent, however the parent ends. Then the leash stops the child. ``PR_SET_PDEATHSIG`` alone
would not do: it depends on the thread that started the child, and exists on Linux only. Here it stops the
child if the leash itself is killed.

Only the standard library is imported, so that ``python -I -S leash.py`` starts in a few milliseconds.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_GRACE_S = 10.0
_PR_SET_PDEATHSIG = 1


class Leashed:
    """A running child on its leash.

    Attributes:
        pid: The child's own process id (not the leash's).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: IO[bytes],
        env: Mapping[str, str] | None = None,
        grace_s: float = _GRACE_S,
    ) -> None:
        """Start ``command`` with its output going to the file ``output``.

        Args:
            command: Program and arguments.
            output: Open file for the child's standard output and standard error.
            env: The child's whole environment; None for that of the parent.
            grace_s: Seconds between SIGTERM and SIGKILL when it is stopped.

        Raises:
            OSError: The program cannot be started; the reason is in the file ``output``.
        """
        self._grace_s = grace_s
        # With a session of its own it does not get Ctrl-C: the parent decides in which order things stop.
        self._leash = subprocess.Popen(  # noqa: S603 - the command is ours
            [sys.executable, "-I", "-S", __file__, str(grace_s), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
        assert self._leash.stdout is not None
        first = self._leash.stdout.readline().strip()
        if not first.isdigit():
            self.stop()
            raise OSError(f"{command[0]} cannot be started")
        self.pid = int(first)

    @property
    def exit_code(self) -> int | None:
        """The child's exit status (negative: the signal that ended it), None while it runs."""
        code = self._leash.poll()
        return code - 256 if code is not None and code > 128 else code  # noqa: PLR2004 - statuses are a byte

    def stop(self) -> None:
        """End the child (SIGTERM, after the grace SIGKILL) and wait until it is gone. Safe to repeat."""
        for pipe in (self._leash.stdin, self._leash.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._leash.wait(self._grace_s + 10)


def _die_with_leash() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _main(grace_s: float, command: Sequence[str]) -> int:
    child = subprocess.Popen(  # noqa: S603 - the command is ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=_die_with_leash if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread so far
    )
    print(child.pid, flush=True)  # noqa: T201 - the parent reads it

    def parent_is_gone() -> None:
        while os.read(0, 64):
            pass
        # A stopped process (SIGSTOP) does not see SIGTERM.
        with contextlib.suppress(ProcessLookupError):
            if hasattr(signal, "SIGCONT"):
                child.send_signal(signal.SIGCONT)
            child.terminate()
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.kill()

    threading.Thread(target=parent_is_gone, daemon=True).start()
    return child.wait() & 0xFF


def last_lines(path: Path, count: int = 3) -> str:
    """The last lines of a log file that are not empty, joined for an error message."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return " | ".join([line.strip() for line in lines if line.strip()][-count:])


if __name__ == "__main__":
    # These are handlers, because the child would inherit SIG_IGN, and a JVM would never stop at SIGTERM.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    sys.exit(_main(float(sys.argv[1]), sys.argv[2:]))
