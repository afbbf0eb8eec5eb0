"""The programs that the demo starts. Each has a log file, and none outlives the demo."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Self

from pipeline.errors import MissingError
from pipeline.leash import Leashed, last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

# A worker has this time to commit and to close RocksDB. Then it is killed.
_GRACE_S = 15.0


class Child:
    """One `ott` command as a child process, while the `with` block lasts.

    Attributes:
        name: its name in messages.
        log: the file with its output.
    """

    def __init__(self, name: str, arguments: Sequence[str], variables: Mapping[str, str], log: Path) -> None:
        """Nothing runs yet.

        Args:
            name: its name in messages.
            arguments: of `ott`.
            variables: added to the environment of this process.
            log: the file for its output.
        """
        self.name = name
        self.log = log
        # With -P, Python does not import a directory named `pipeline` that happens to be where the demo is started.
        self._command = [sys.executable, "-P", "-m", "pipeline.cli", *arguments]
        self._variables = variables
        self._process: Leashed | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as output:
            self._process = Leashed(
                self._command, output=output, env={**os.environ, **self._variables}, grace_s=_GRACE_S
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def exit_code(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        assert self._process is not None
        return self._process.exit_code

    def answer(self) -> dict[str, object]:
        """The last JSON object that a child with `--json` wrote; empty if it wrote none."""
        for line in reversed(self.log.read_text("utf-8", "replace").splitlines()):
            if line.startswith("{"):
                document = json.loads(line)
                assert isinstance(document, dict)
                return document
        return {}

    def failure(self) -> MissingError:
        """The error for a child that ended too early."""
        code = self.exit_code
        how = (
            f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
        )
        last = last_lines(self.log, 1).removeprefix("ott: ")
        return MissingError(f"the {self.name} {how}: {last or 'it wrote nothing'}; its log: {self.log}")
