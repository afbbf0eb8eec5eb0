"""The yardstick: a loop as one would write it by hand, with the worker's evaluation and no framework.

It has a librdkafka consumer and a dictionary for each partition. Once a second it writes outputs, changed keys to a
changelog topic, one RocksDB batch for each partition, and offsets. It runs as a process of its own with the settings of
the worker, and answers the same question over HTTP, so both are measured in the same way.

It lacks what the worker is for: it loses and repeats records when it crashes, it knows neither rebalances nor recovery,
it trusts the partition that producers chose, and its memory has no bound.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.app import tune_collector
from pipeline.assembly import build_evaluator
from pipeline.delivery.state.changelog import WATERMARKS, encode_watermarks
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions
from pipeline.errors import MissingError, OttError
from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.source import PlainRecord
from pipeline.kafka.topics import FAILED_EVENTS, FLAGGED_EVENTS, RAW_EVENTS
from pipeline.lab.benchmark.clients import as_bytes, client_options
from pipeline.settings.schema import load_settings
from pipeline.windows.user import UserState
from tables.risk import PARTITION_FORM, PARTITION_KEY, TABLE_NAME, user_key
from tables.users import encode_user

if TYPE_CHECKING:
    from confluent_kafka import Message

    from pipeline.delivery.state.changelog import Entry
    from pipeline.settings.schema import Settings

_BATCH: Final = 5_000
_WAIT_S: Final = 0.05
_TIMEOUT_S: Final = 30.0


class PartitionUsers(dict[str, UserState]):
    """All users of a partition, and which of them changed since the last commit."""

    __slots__ = ("dirty",)

    def __init__(self) -> None:
        super().__init__()
        self.dirty: set[str] = set()

    def __setitem__(self, user_id: str, state: UserState, /) -> None:
        super().__setitem__(user_id, state)
        self.dirty.add(user_id)

    def owns(self, _user_id: str, /) -> bool:
        """It trusts the producers."""
        return True

    def take_changes(self) -> list[Entry]:
        """The changed users, encoded. After this none counts as changed."""
        entries: list[Entry] = [(user_key(user_id), encode_user(self[user_id])) for user_id in self.dirty]
        self.dirty.clear()
        return entries


class _Partition:
    """The state of one partition."""

    def __init__(self, number: int, store: PartitionStore) -> None:
        self.number = number
        self.store = store
        self.users = PartitionUsers()
        self.state = PartitionState()
        self.next_offset = 0
        self.moved = False

    def take_changes(self, topic: str) -> list[Entry]:
        """The changed keys, encoded. After this none counts as changed."""
        entries = self.users.take_changes()
        entries.append((PARTITION_KEY, PARTITION_FORM.encode(self.state)))
        entries.append((WATERMARKS, encode_watermarks({topic: self.next_offset})))
        self.moved = False
        return entries


class _Loop:
    """The loop. `run` returns after it was asked to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._evaluator = build_evaluator(settings)
        self._raw = settings.topic(RAW_EVENTS.name)
        self._flagged = settings.topic(FLAGGED_EVENTS.name)
        self._failed = settings.topic(FAILED_EVENTS.name)
        self._changelog = f"{settings.app_id}-{TABLE_NAME}-changelog"
        self._partitions: dict[int, _Partition] = {}
        self._outputs: list[tuple[str, bytes | None, bytes]] = []
        self._failure: KafkaError | None = None
        self.ready = False
        self.stopping = False
        cache = StoreCache(StoreOptions())
        for number in range(settings.partitions):
            path = settings.state_dir / f"yardstick-{number}"
            self._partitions[number] = _Partition(number, PartitionStore(path, settings.app_id, cache))
        self._producer = Producer(
            {
                **client_options(settings),
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 1_048_576,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
            }
        )
        self._consumer = Consumer(
            {
                **client_options(settings),
                "group.id": settings.app_id,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": settings.session_timeout_ms,
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 65_536,
            }
        )

    def counts(self) -> dict[str, int]:
        """The counts of all partitions."""
        total: dict[str, int] = {}
        for partition in self._partitions.values():
            for name, count in list(partition.state.counts.items()):
                total[name] = total.get(name, 0) + count
        return total

    def run(self) -> None:
        self._create_changelog()
        self._consumer.subscribe([self._raw], on_assign=self._on_assigned)
        interval = self._settings.commit_interval_ms / 1000
        committed = time.monotonic()
        while not self.stopping:
            batches: dict[int, list[PlainRecord]] = {}
            for message in self._consumer.consume(_BATCH, _WAIT_S):
                record = self._record(message)
                batches.setdefault(record.partition, []).append(record)
            for number, records in batches.items():
                self._judge(self._partitions[number], records)
            self._producer.poll(0)
            if time.monotonic() - committed >= interval:
                self._commit()
                committed = time.monotonic()
        self._commit()
        self._consumer.close()

    def _record(self, message: Message) -> PlainRecord:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        return PlainRecord(
            self._raw,
            partition,
            offset,
            message.timestamp()[1],
            as_bytes(message.key()),
            as_bytes(message.value()),
        )

    def _judge(self, partition: _Partition, records: list[PlainRecord]) -> None:
        outputs = evaluate_batch(self._evaluator, records, partition.users, partition.state, self._raw)
        self._outputs += [(self._flagged, key, value) for key, value in outputs.flagged]
        self._outputs += [(self._failed, key, value) for key, value in outputs.failed]
        partition.next_offset = records[-1].offset + 1
        partition.moved = True

    def _commit(self) -> None:
        moved = [partition for partition in self._partitions.values() if partition.moved]
        if not moved:
            return
        produce, changelog = self._producer.produce, self._changelog
        for topic, output_key, output in self._outputs:
            produce(topic, output, output_key)
        self._outputs = []
        changes = [(partition, partition.take_changes(self._raw)) for partition in moved]
        for partition, entries in changes:
            for key, value in entries:
                produce(changelog, value, key, partition.number)
        if self._producer.flush(_TIMEOUT_S) or self._failure is not None:
            raise MissingError(
                f"Kafka at {self._settings.bootstrap_servers} does not take records: {self._failure}"
            )
        for partition, entries in changes:
            partition.store.write(entries, None)
        offsets = [TopicPartition(self._raw, partition.number, partition.next_offset) for partition in moved]
        self._consumer.commit(offsets=offsets, asynchronous=False)

    def _create_changelog(self) -> None:
        settings = self._settings
        topic = NewTopic(
            self._changelog,
            settings.partitions,
            settings.replication_factor,
            config={"cleanup.policy": "compact"},
        )
        admin = AdminClient(client_options(settings))
        for future in admin.create_topics([topic]).values():
            future.result(_TIMEOUT_S)

    def _on_assigned(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.ready = True

    def _on_failure(self, error: KafkaError | None, _: Message) -> None:
        self._failure = self._failure or error


def _serve(loop: _Loop, port: int) -> None:
    """Answer `/stats/accounts` as the worker does, from a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as by the worker

        def do_GET(self) -> None:
            counts = loop.counts()
            names = ("judged", "duplicate", "failed", "flagged", "late")
            body = json.dumps({name: counts.get(name, 0) for name in names}).encode()
            self.send_response(200 if loop.ready else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing, because ten requests arrive each second."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="accounts", daemon=True).start()


def main() -> int:
    """Run until SIGTERM, with the settings of the environment."""
    try:
        settings = load_settings()
        loop = _Loop(settings)

        def stop(_number: int, _frame: object) -> None:
            loop.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        _serve(loop, settings.web_port)
        tune_collector()
        loop.run()
    except OttError as error:
        sys.stderr.write(f"yardstick: {error.message}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
