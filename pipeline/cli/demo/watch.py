"""Counts what the worker publishes, by reading its topics."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from pipeline.cli.rendering import Record
from pipeline.errors import MissingError
from pipeline.kafka.follower import follow
from pipeline.kafka.topics import FAILED_EVENTS, FLAGGED_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pipeline.settings.schema import Settings

_START_TIMEOUT_S = 30.0
# Without its broker a consumer takes some time to give up. The thread ends with the process anyway.
_STOP_TIMEOUT_S = 5.0


class Watch:
    """Counts verdicts and failed events in a thread of its own, while the `with` block lasts.

    Attributes:
        flagged: verdicts about users so far.
        failed: failed events so far.
        by_rule: findings so far by rule id.
    """

    def __init__(self, settings: Settings, *, from_beginning: bool, each_id_once: bool) -> None:
        """Nothing is read yet.

        Args:
            settings: where the brokers are.
            from_beginning: also count what the topics hold already.
            each_id_once: count a repeated message once. This remembers all ids, so it is not for an endless run.
        """
        self.flagged = 0
        self.failed = 0
        self.by_rule: Counter[str] = Counter()
        self._settings = settings
        self._from_beginning = from_beginning
        self._ids: set[str] | None = set() if each_id_once else None
        self._samples: list[dict[str, Any]] = []
        self._error: Exception | None = None
        self._ready = threading.Event()
        self._cancel: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        """Return when the topics are followed, so that nothing is missed that is published later.

        Raises:
            MissingError: the topics cannot be read.
        """
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT_S) and self._error is None:
            raise MissingError(f"the topics at {self._settings.bootstrap_servers} cannot be read")
        self.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cancel is not None:
            with contextlib.suppress(RuntimeError):  # the loop may have ended already
                self._cancel()
        self._thread.join(_STOP_TIMEOUT_S)

    def check(self) -> None:
        """Raise the error that ended the watch, if there was one."""
        if self._error is not None:
            raise self._error

    def take_samples(self) -> list[dict[str, Any]]:
        """The verdicts since the last call in which a rule appeared for the first time."""
        samples, self._samples = self._samples, []
        return samples

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._watch())

    async def _watch(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._cancel = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
        topics = [FLAGGED_EVENTS.name, FAILED_EVENTS.name]
        names = {self._settings.topic(topic): topic for topic in topics}
        try:
            async with follow(self._settings, list(names), from_oldest=self._from_beginning) as follower:
                self._ready.set()
                while True:
                    for got in await follower.next_records():
                        record = Record(
                            names[got.topic], got.partition, got.offset, got.timestamp, got.key, got.value
                        )
                        self._count(record)
        except Exception as error:  # noqa: BLE001 - raised again by `check`, in the thread that asks
            self._error = error
            self._ready.set()

    def _count(self, record: Record) -> None:
        document = record.document() or {}
        identity = str(document.get("verdict_id") or document.get("failure_id"))
        if self._ids is not None:
            if identity in self._ids:
                return
            self._ids.add(identity)
        if record.topic == FAILED_EVENTS.name:
            self.failed += 1
            return
        subject = document.get("subject")
        self.flagged += isinstance(subject, dict) and subject.get("type") == "user"
        rules = [str(finding.get("rule_id")) for finding in document.get("findings", [])]
        if any(rule not in self.by_rule for rule in rules):
            self._samples.append(document)
        self.by_rule.update(rules)
