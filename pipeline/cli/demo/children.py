"""The programs that the demo starts: each with its log, none able to outlive the demo."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Self

from pipeline.errors import MissingError
from pipeline.lab.local.leash import Leashed, last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

# A worker commits and closes RocksDB within this; after it, SIGKILL.
_GRACE_S = 15.0


class Child:
    """One `ott` command as a child process, while the `with` block lasts.

    Attributes:
        name: what it is called in messages.
        log: the file with all that it writes.
    """

    def __init__(self, name: str, arguments: Sequence[str], variables: Mapping[str, str], log: Path) -> None:
        """Nothing runs yet.

        Args:
            name: what it is called in messages.
            arguments: of `ott`.
            variables: laid over this process's environment.
            log: where its output goes.
        """
        self.name = name
        self.log = log
        # -P: a directory named `pipeline` where the demo is started must not stand in for ours.
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
        """None while it runs, else its exit status (negative: the signal)."""
        assert self._process is not None
        return self._process.exit_code

    def answer(self) -> dict[str, object]:
        """The JSON object that a child with `--json` wrote last; empty if it wrote none."""
        for line in reversed(self.log.read_text("utf-8", "replace").splitlines()):
            if line.startswith("{"):
                document = json.loads(line)
                assert isinstance(document, dict)
                return document
        return {}

    def failure(self) -> MissingError:
        """The sentence for a child that ended and should not have."""
        code = self.exit_code
        how = (
            f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
        )
        last = last_lines(self.log, 1).removeprefix("ott: ")
        return MissingError(f"the {self.name} {how}: {last or 'it wrote nothing'}; its log: {self.log}")
