"""How soon: from the instant at which an event was due to be sent until a consumer has its verdict.

The consumer reads committed records only, so the time to the next commit is part of it. The events are sent
at an even pace; an event's time runs from when it was due, also where the sender was late, so that a stall is
not hidden by the sender's waiting (coordinated omission). The first fifth warms up and is left out.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

import msgspec
from confluent_kafka import KafkaException

from pipeline.errors import MissingError
from pipeline.kafka.topics import FLAGGED_EVENTS, RAW_EVENTS
from pipeline.lab.benchmark.clients import Sender, as_bytes, reader
from pipeline.lab.benchmark.load import number_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pipeline.lab.benchmark.running import Running
    from pipeline.settings.schema import Settings

_BATCH: Final = 1_000
_WAIT_S: Final = 0.05
_START_TIMEOUT_S: Final = 30.0
_LAST_VERDICT_TIMEOUT_S: Final = 15.0
_WARM_UP_SHARE: Final = 5
_SETTLE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Latency:
    """One run.

    Attributes:
        load_per_s: events a second that were really sent.
        p50_ms: half of the verdicts came within so many milliseconds.
        p99_ms: 99 of 100 did.
        max_ms: all did.
        verdicts: that were timed.
    """

    load_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    verdicts: int


class _Head(msgspec.Struct):
    event_id: str | None = None


_read_head: Final = msgspec.json.Decoder(_Head).decode


class _Arrivals:
    """When each verdict arrived, by its event's number; a thread reads them while the `with` block lasts."""

    def __init__(self, settings: Settings) -> None:
        self.by_number: dict[int, float] = {}
        self._settings = settings
        self._ready, self._over = threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(_START_TIMEOUT_S)
        self.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_START_TIMEOUT_S)

    def check(self) -> None:
        """Raise what ended the thread, if something did."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with reader(self._settings, self._settings.topic(FLAGGED_EVENTS.name), ends=False) as consumer:
                self._ready.set()
                while not self._over.is_set():
                    messages = consumer.consume(_BATCH, _WAIT_S)
                    now = time.perf_counter()
                    for message in messages:
                        error = message.error()
                        if error is not None:
                            raise KafkaException(error)  # noqa: TRY301 - one way out of the thread
                        event_id = _read_head(as_bytes(message.value()) or b"{}").event_id
                        if event_id is not None:
                            self.by_number.setdefault(number_of(event_id), now)
        except Exception as error:  # noqa: BLE001 - raised again by `check`, in the thread that asks
            self._error = error
            self._ready.set()


def measure_latency(running: Running, records: list[tuple[bytes, bytes]], per_second: float) -> Latency:
    """Send records at a pace and time their verdicts.

    Args:
        running: the contestant; its topics are new and empty.
        records: of a `Load`, from its first event on.
        per_second: the pace.

    Raises:
        MissingError: it ended, or makes no progress, or verdicts are missing.
    """
    settings = running.settings
    running.wait_until(lambda sample: sample.accounts is not None, "its start")
    with _Arrivals(settings) as arrivals:
        time.sleep(_SETTLE_S)
        sender = Sender(settings, settings.topic(RAW_EVENTS.name))
        begin, rate = sender.send_paced(records, per_second)
        _, end = running.wait_until(
            lambda sample: sample.read >= len(records), f"{len(records)} records to be judged"
        )
        flagged = 0 if end.accounts is None else end.accounts.flagged
        deadline = time.monotonic() + _LAST_VERDICT_TIMEOUT_S
        while len(arrivals.by_number) < flagged and time.monotonic() < deadline:
            arrivals.check()
            time.sleep(_WAIT_S)
        arrivals.check()
        found = dict(arrivals.by_number)
    if len(found) < flagged:
        raise MissingError(f"only {len(found)} of {flagged} verdicts arrived; its log: {running.log}")
    first = len(records) // _WARM_UP_SHARE
    delays = sorted(at - begin - number / per_second for number, at in found.items() if number >= first)
    if not delays:
        raise MissingError(f"none of {len(records)} events was flagged after the warm-up; send more events")
    return Latency(
        load_per_s=rate,
        p50_ms=quantile(delays, 0.5) * 1000,
        p99_ms=quantile(delays, 0.99) * 1000,
        max_ms=delays[-1] * 1000,
        verdicts=len(delays),
    )


def quantile(ordered: list[float], share: float) -> float:
    """The least value that at least this share does not exceed."""
    return ordered[ceil(share * len(ordered)) - 1]
