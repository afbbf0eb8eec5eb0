"""Looking at processes that may belong to somebody else, and waiting."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def command_line(pid: int) -> str:
    """The command line of a process; empty if there is none, or if it has ended."""
    proc = Path("/proc")
    if (proc / "self" / "cmdline").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - ours


def wait_until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Ask every 50 ms until the answer is yes; False after ``timeout_s`` seconds."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
