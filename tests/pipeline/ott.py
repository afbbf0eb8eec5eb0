"""Runs `ott` in a process of its own without the second that its imports take.

A server process imports the modules of `ott` once and forks for each command. A command has its own arguments,
environment, working directory, standard streams and exit status. What depends on pipes, on signals or on the start of
Python is tested with a real command (`ott_command`).
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

_PRELOADED = [
    "pipeline.cli.judge",
    "pipeline.judging.file",
    "pipeline.assembly",
    "pipeline.lab.generator.running",
]


def run_ott(
    arguments: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    stdin: str = "",
    stdout: Path | None = None,
    timeout: float = 60,
) -> CompletedProcess[str]:
    """Run one command to its end.

    Args:
        arguments: what follows `ott`.
        directory: its working directory.
        environment: all of its environment.
        stdin: what it reads.
        stdout: where its standard output goes, such as `/dev/full`; nothing of it is returned then.
        timeout: in seconds; then it is killed, and `TimeoutExpired` is raised.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(_PRELOADED)
    with tempfile.TemporaryDirectory() as streams:
        given, out, err = (Path(streams, name) for name in ("stdin", "stdout", "stderr"))
        given.write_text(stdin, encoding="utf-8")
        for path in (out, err):
            path.touch()
        process = server.Process(
            target=_child, args=(list(arguments), directory, dict(environment), (given, stdout or out, err))
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(list(arguments), timeout)
        return CompletedProcess(
            list(arguments),
            process.exitcode,
            out.read_text(encoding="utf-8"),
            err.read_text(encoding="utf-8"),
        )


def _child(arguments: list[str], directory: Path, environment: dict[str, str], paths: Sequence[Path]) -> None:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(paths):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - multiprocessing has closed it
    from pipeline.cli import run  # noqa: PLC0415 - only the child needs it

    sys.exit(run(arguments))
