"""What is written while workers are disturbed: events, privacy requests, and records in the wrong partition.

The order in which a worker merges the topics of a partition is not decided by anybody, so that a verdict must not
depend on it. Hence: requests about users with events are all there before the first event; requests during the
disturbance are about users without events; and of a user either all records are misplaced or none.
"""

import json
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, Self

from confluent_kafka import KafkaError, Producer

from pipeline.delivery.partitioner import partition_of
from pipeline.events.decode import EventDecoder
from pipeline.events.invalid import InvalidMessageError
from tests.stream.events import generated

PARTITIONS = 4
_MISPLACED_EVERY = 12
_SLICES = 60

Record = tuple[int | None, bytes | None, bytes | None]


class Load(NamedTuple):
    """Records by (partition, key, value).

    `first` are requests; `opening` are events, one for every source partition, as the judgement of titles and devices
    does not wait for those that never had one; `rest` are (topic, record) in their order.
    """

    first: list[Record]
    opening: list[Record]
    rest: list[tuple[str, Record]]


@cache
def load(events: int, seed: int) -> Load:
    """A stream of so many events, with requests before and among them."""
    given = generated(events, seed, events // 40)
    decoder = EventDecoder()
    first = [_placed(record, _user(decoder.request, record)) for record in given.requests]
    among = [
        _placed(record, _user(decoder.request, record)) for record in map(_of_a_quiet_user, given.requests)
    ]
    rest = [("raw-events", _placed(record, _user(decoder.event, record))) for record in given.events]
    opening = _opening(decoder, given.events)
    step = max(1, len(rest) // max(1, len(among)))
    for number, record in enumerate(among):
        rest.insert(min(len(rest), number * (step + 1)), ("privacy-requests", record))
    return Load(first, opening, rest)


def _opening(decoder: EventDecoder, events: Sequence[Record]) -> list[Record]:
    """As old as the first event: one of another user for every partition, and one that was written to the next one."""
    record = next(one for one in events if _user(decoder.event, one) is not None)
    content = json.loads(record[2] or b"")
    found: list[Record] = []
    for wrong in (False, True):
        users = {
            partition_of(name.encode(), PARTITIONS): name
            for name in map(f"opens-{wrong}-{{}}".format, range(99))
        }
        for partition, user in sorted(users.items()):
            value = json.dumps({**content, "user_id": user, "event_id": f"opens-{user}"}).encode()
            found.append(((partition + wrong) % PARTITIONS, user.encode(), value))
    return found


def _user(decode, record: Record) -> str | None:
    try:
        return str(decode(record[2]).user_id)
    except InvalidMessageError:
        return None


def _placed(record: Record, user: str | None) -> Record:
    """Of every twelfth user the records are in wrong partitions, half of them without a key."""
    _, key, value = record
    if user is None:
        return record
    dice = zlib.crc32(user.encode())
    if dice % _MISPLACED_EVERY:
        return partition_of(user.encode(), PARTITIONS), key, value
    wrong = (partition_of(user.encode(), PARTITIONS) + 1 + dice // 100 % (PARTITIONS - 1)) % PARTITIONS
    return wrong, key if dice // 1000 % 2 else None, value


def _of_a_quiet_user(record: Record) -> Record:
    partition, _, value = record
    try:
        content = json.loads(value or b"")
        user = f"quiet-{content['user_id']}"
    except (ValueError, TypeError, KeyError):
        return record
    return partition, user.encode(), json.dumps({**content, "user_id": user}).encode()


class Writer:
    """Writes a load in the background, in slices, so that something is always under way; a context manager.

    Args:
        servers: bootstrap servers.
        topic: full name of a topic.
        records: what is written.
        seconds: about how long it takes.
    """

    def __init__(
        self,
        servers: str,
        topic: Callable[[str], str],
        records: Sequence[tuple[str, Record]],
        seconds: float,
    ) -> None:
        self._topic = topic
        self._records = records
        self._pause = seconds / _SLICES
        self._hurry = threading.Event()
        self._failures: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                # Brokers are restarted under it: nothing may be written twice or in another order.
                "enable.idempotence": True,
                "message.timeout.ms": 120_000,
                "linger.ms": 10,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._hurry.set()
        self._thread.join()

    def finish(self) -> None:
        """Write what is left at once, and wait until the brokers have it."""
        self._hurry.set()
        self._thread.join()
        assert self._producer.flush(120) == 0
        assert not self._failures, self._failures[:3]

    def _run(self) -> None:
        size = max(1, len(self._records) // _SLICES)
        for number, (name, (partition, key, value)) in enumerate(self._records, 1):
            self._producer.produce(self._topic(name), value, key, on_delivery=self._told, **_at(partition))
            if not number % size:
                began = time.monotonic()
                self._producer.poll(0)
                self._hurry.wait(max(0.0, self._pause - (time.monotonic() - began)))

    def _told(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failures.append(str(error))


def _at(partition: int | None) -> dict[str, int]:
    return {} if partition is None else {"partition": partition}
