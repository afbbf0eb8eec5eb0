"""A contestant while it runs: its accounts over HTTP, its processor time and memory from the system."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import psutil

from pipeline.errors import MissingError
from pipeline.lab.demo_token import demo_token
from pipeline.settings.schema import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from pipeline.settings.schema import Settings

_PATH: Final = "/stats/accounts"
_ANSWER_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.1
_STALL_S: Final = 60.0
_OK: Final = 200
_LAST_LINES: Final = 3


class Process(Protocol):
    """A child process that cannot outlive this one."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        ...

    def stop(self) -> None:
        """End it, gracefully, and wait until it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that judges `raw-events`.

    Attributes:
        name: its name in the results.
        arguments: of Python.
        scores: whether an anomaly model is in force for it.
    """

    name: str
    arguments: tuple[str, ...]
    scores: bool = False


# With -P, Python does not import a directory named `pipeline` from the working directory.
WORKER: Final = Contestant("worker", ("-P", "-m", "pipeline.cli", "worker"))
SCORING: Final = Contestant("with-model", WORKER.arguments, scores=True)
YARDSTICK: Final = Contestant("yardstick", ("-P", "-m", "pipeline.lab.benchmark.yardstick"))


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """Numbers of records by how they ended. `flagged` are part of `judged`."""

    judged: int
    duplicate: int
    failed: int
    flagged: int

    @property
    def read(self) -> int:
        """All of them."""
        return self.judged + self.duplicate + self.failed


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of a contestant at one moment.

    Attributes:
        at: when, by `time.perf_counter`.
        accounts: its accounts; None while it does not answer.
        cpu_s: processor time since its start, of all its threads, user and system.
    """

    at: float
    accounts: RecordCounts | None
    cpu_s: float

    @property
    def read(self) -> int:
        """Records that ended; 0 while it does not answer."""
        return 0 if self.accounts is None else self.accounts.read


class Running:
    """A contestant while the `with` block lasts.

    Attributes:
        settings: those that it runs with.
        log: the file with its output.
    """

    def __init__(
        self,
        contestant: Contestant,
        variables: Mapping[str, str],
        log: Path,
        launch: Callable[[Sequence[str], Mapping[str, str], Path], Process],
    ) -> None:
        """Nothing runs yet.

        Args:
            contestant: what to run.
            variables: its settings, which replace those of this process. The web port is among them.
            log: the file for its output.
            launch: starts it.
        """
        self.settings: Settings = load_settings(environ={**os.environ, **variables})
        self.log = log
        self._contestant = contestant
        self._variables = variables
        self._launch = launch
        self._address = f"http://127.0.0.1:{self.settings.web_port}"
        self._headers: dict[str, str] = {}
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", self.settings.web_port, timeout=_ANSWER_TIMEOUT_S
        )

    def __enter__(self) -> Self:
        """Start it."""
        command = [sys.executable, *self._contestant.arguments]
        self._process = self._launch(command, self._variables, self.log)
        try:
            self._watched = psutil.Process(self._process.pid)
        except psutil.NoSuchProcess:
            self._process.stop()
            raise self._failure("ended at once") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.stop()

    def look(self) -> Sample:
        """Ask for its state.

        Raises:
            MissingError: it has ended.
        """
        accounts = self._ask()
        try:
            times = self._watched.cpu_times()
        except psutil.NoSuchProcess:
            raise self._failure("has ended") from None
        if self._process.exit_code is not None:
            raise self._failure(f"ended with status {self._process.exit_code}")
        return Sample(time.perf_counter(), accounts, times.user + times.system)

    def wait_until(self, done: Callable[[Sample], bool], what: str) -> tuple[Sample, Sample]:
        """Ask ten times a second until a condition holds.

        Args:
            done: the condition.
            what: names the condition in the message.

        Returns:
            the last state before its first record, and the first state for which the condition held.

        Raises:
            MissingError: it has ended, or did nothing for a minute.
        """
        before = latest = self.look()
        moved, read = latest.at, latest.read
        while not done(latest):
            time.sleep(_POLL_S)
            latest = self.look()
            if latest.read == 0:
                before = latest
            if latest.read != read:
                moved, read = latest.at, latest.read
            if latest.at - moved > _STALL_S:
                raise self._failure(
                    f"did nothing for {_STALL_S:g} s, waiting for {what}, after {read} records"
                )
        return before, latest

    def peak_memory_bytes(self) -> int:
        """The most memory that it has had; its memory now if the system does not tell that."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists():
            for line in status.read_text(encoding="ascii", errors="replace").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return int(self._watched.memory_info().rss)

    def memory_bytes(self) -> int:
        """Its memory now."""
        return int(self._watched.memory_info().rss)

    def _ask(self) -> RecordCounts | None:
        """Ask over a connection that stays open: a new one would cost the contestant as much as the answer."""
        try:
            self._connection.request("GET", _PATH, headers=self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
            if answer.status == HTTPStatus.UNAUTHORIZED:
                # The yardstick asks for none.
                self._headers = {"Authorization": f"Bearer {demo_token(self._address)}"}
        except (OSError, ValueError, http.client.HTTPException):
            self._connection.close()
            return None
        if answer.status != _OK:
            return None
        document: dict[str, Any] = json.loads(body)
        return RecordCounts(*(int(document[name]) for name in ("judged", "duplicate", "failed", "flagged")))

    def _failure(self, how: str) -> MissingError:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        said = " | ".join(line.strip() for line in lines[-_LAST_LINES:] if line.strip()) or "nothing"
        return MissingError(f"the {self._contestant.name} {how}; it said: {said}; its log: {self.log}")
