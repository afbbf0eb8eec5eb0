"""A stream under test: its own topics, real worker processes, and the results that `ott judge` expects."""

import contextlib
import io
import json
import os
import signal
import sys
import time
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from pipeline.anomaly.artefact import Model, read_model, write_model
from pipeline.anomaly.shipped import shipped_model
from pipeline.assembly import build_evaluator
from pipeline.delivery.flow.rekeying import OFFSET, PARTITION, TIMESTAMP, TOPIC
from pipeline.delivery.state.changelog import RESERVED
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions
from pipeline.evaluation.model_book import records_of
from pipeline.events.instants import parse_formatted
from pipeline.judging.file import FileJudge, LineCounts
from pipeline.lab.demo_token import DemoWorker
from pipeline.lab.local.ports import free_ports
from pipeline.leash import Leashed
from pipeline.settings.schema import Settings, load_settings
from pipeline.titles.minutes import GRACE_MS
from pipeline.titles.state import PARTITION_KEY as TITLES_KEY
from pipeline.titles.state import TitlesPartition
from tables.risk import PARTITION_FORM, PARTITION_KEY, TABLE_NAME
from tables.titles import TABLE_NAME as TITLES_TABLE
from tables.titles import TitlesCodec
from tables.users import encode_user

READY_S = 60.0
DRAIN_S = 120.0
ENDINGS = ("judged", "duplicate", "failed", "request", "misplaced")
VICTIM = Path(__file__).with_name("victim.py")


class Stored(NamedTuple):
    """A record as a consumer of committed records reads it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass
class Expected:
    """What `ott judge` publishes for the records on the topics: for each key its values, in order."""

    verdicts: dict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    failures: Counter[bytes] = field(default_factory=Counter)
    users: dict[bytes, bytes] = field(default_factory=dict)
    accounts: LineCounts = field(default_factory=LineCounts)
    subjects: list[bytes] = field(default_factory=list)


class Stream:
    """Topics with their own prefix, and workers of one application.

    Args:
        servers: bootstrap servers.
        prefix: that no other test uses.
        directory: for state and logs.
        partitions: of every topic.
        variables: more of the workers' environment.
    """

    def __init__(
        self,
        servers: str,
        prefix: str,
        directory: Path,
        partitions: int = 4,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.servers = servers
        self.prefix = prefix
        self.directory = directory
        self.partitions = partitions
        self.variables = {
            "OTT_BOOTSTRAP_SERVERS": servers,
            "OTT_TOPIC_PREFIX": prefix,
            "OTT_APP_ID": f"{prefix}app",
            "OTT_PARTITIONS": str(partitions),
            "OTT_SESSION_TIMEOUT_MS": "6000",
            "OTT_COMMIT_INTERVAL_MS": "200",
            "OTT_DEMO": "true",
            **(variables or {}),
        }
        self.settings: Settings = load_settings(environ=self.variables, cwd=directory)
        self.model: Model | None = None

    # -- topics

    def topic(self, name: str) -> str:
        return self.settings.topic(name)

    @property
    def changelog(self) -> str:
        return f"{self.settings.app_id}-{TABLE_NAME}-changelog"

    def write(self, name: str, records: Iterable[tuple[int | None, bytes | None, bytes | None]]) -> None:
        """Write (partition, key, value) records. Without a partition, the murmur2 hash of the key decides."""
        producer = Producer(
            {"bootstrap.servers": self.servers, "partitioner": "murmur2_random", "linger.ms": 20}
        )
        failures: list[KafkaError] = []

        def told(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failures.append(error)

        for partition, key, value in records:
            more = {} if partition is None else {"partition": partition}
            while True:
                try:
                    producer.produce(self.topic(name), value, key, on_delivery=told, **more)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not failures, failures[:3]

    def read(self, topic: str) -> list[Stored]:
        """All committed records of a topic (full name), in the order of each partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "reads-without-a-group",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
            }
        )
        found: list[Stored] = []
        try:
            partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
            consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
            missing = set(partitions)
            deadline = time.monotonic() + 60
            while missing:
                assert time.monotonic() < deadline, f"{topic}: no end of {missing}"
                for message in consumer.consume(5000, timeout=0.5):
                    error = message.error()
                    if error is None:
                        found.append(
                            Stored(
                                topic,
                                message.partition(),
                                message.offset(),
                                message.timestamp()[1],
                                message.key(),
                                message.value(),
                                dict(message.headers() or []),
                            )
                        )
                    elif error.code() == KafkaError._PARTITION_EOF:
                        missing.discard(message.partition())
                    else:
                        raise AssertionError(str(error))
        finally:
            consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def score(self) -> None:
        """Put an anomaly model in force that finds many anomalies. Before the first worker starts, so it scores all."""
        shipped = shipped_model()
        often = msgspec.structs.replace(shipped, alert_below=shipped.alert_below * 2)
        model = self.model = read_model(write_model(often), "the model of the test")
        records = records_of(model.version, write_model(model), "test", "2026-01-01T00:00:00.000Z")
        self.write("model-config", [(0, key, value) for key, value in records])

    # -- what should come out

    def expected(self) -> Expected:
        """Judge the records of the topics, requests first. A forwarded record counts in its new partition."""
        raw = self.read(self.topic("raw-events"))
        rekeyed = self.read(self.topic("raw-events-rekeyed"))
        requests = self.read(self.topic("privacy-requests"))
        forwarded = [record for record in (*rekeyed, *requests) if TOPIC in record.headers]
        origins = Counter(
            (_text(r, TOPIC), int(r.headers[PARTITION]), int(r.headers[OFFSET])) for r in forwarded
        )
        assert all(count == 1 for count in origins.values()), "a record was forwarded twice"
        expected = Expected()
        evaluator = build_evaluator(self.settings)
        evaluator.model = self.model
        judge = FileJudge(evaluator, self.prefix, subjects=False)
        for record in (*requests, *raw, *rekeyed):
            if (record.topic, record.partition, record.offset) in origins:
                continue
            for kind, value in judge.judge(io.BytesIO(envelope_of(record))):
                if kind == "failed":
                    expected.failures[value] += 1
                else:
                    expected.verdicts[json.loads(value)["subject"]["id"].encode()].append(value)
        expected.accounts = judge.counts
        expected.users = {b"u" + user.encode(): encode_user(state) for user, state in judge.users.items()}
        events = [r for r in (*raw, *rekeyed) if (r.topic, r.partition, r.offset) not in origins]
        expected.subjects = self._expected_subjects(requests, events)
        return expected

    def _expected_subjects(self, requests: Sequence[Stored], events: Sequence[Stored]) -> list[bytes]:
        """The verdicts on titles and devices up to the minute that the least partition time closes.

        A re-keyed record counts in the partition that it was forwarded to.
        """
        lines = [envelope_of(record) for record in requests if TOPIC not in record.headers]
        lines += [envelope_of(record, where_it_is=True) for record in events]
        judge = FileJudge(build_evaluator(self.settings), self.prefix)
        outputs = judge.judge(io.BytesIO(b"\n".join(lines)))
        closed = min(self.partition_times().values(), default=0) - GRACE_MS
        return in_order(
            value
            for kind, value in outputs
            if kind == "verdict" and is_subject(value) and _minute_end(value) <= closed
        )

    def partition_times(self) -> dict[str, int]:
        """The partition time of each source partition that has one, read from the changelog."""
        last = {(r.partition, r.key): r.value for r in self.read(self.changelog)}
        return {
            f"{topic}/{partition}": time
            for (partition, key), value in last.items()
            if key == PARTITION_KEY
            for topic, time in PARTITION_FORM.decode(value or b"").times.items()
        }

    def titles(self) -> dict[int, TitlesPartition]:
        """The title agent's state of each partition, read from the changelog."""
        changelog = f"{self.settings.app_id}-{TITLES_TABLE}-changelog"
        last = {(r.partition, r.key): r.value for r in self.read(changelog)}
        found = {
            partition: TitlesCodec().decode(value or b"")
            for (partition, key), value in last.items()
            if key == TITLES_KEY
        }
        return {number: value for number, value in found.items() if isinstance(value, TitlesPartition)}

    # -- what comes out

    def verdicts(self) -> dict[bytes, list[bytes]]:
        """Published verdicts on users by key."""
        found: dict[bytes, list[bytes]] = defaultdict(list)
        for record in self.read(self.topic("flagged-events")):
            assert record.key is not None
            assert record.value is not None
            if not is_subject(record.value):
                found[record.key].append(record.value)
        return found

    def subject_verdicts(self) -> list[bytes]:
        """Published verdicts on titles and devices."""
        found = [record.value or b"" for record in self.read(self.topic("flagged-events"))]
        return in_order(value for value in found if is_subject(value))

    def failures(self) -> Counter[bytes]:
        return Counter(record.value or b"" for record in self.read(self.topic("failed-events")))

    def table(self) -> dict[bytes, bytes]:
        """The users' records, read from the changelog alone."""
        last: dict[bytes, bytes | None] = {}
        for record in self.read(self.changelog):
            assert record.key is not None
            last[record.key] = record.value
        return {key: value for key, value in last.items() if value is not None and key.startswith(b"u")}

    def check(self, expected: Expected) -> None:
        """Check that the published records and the table equal the expected ones, byte for byte."""
        verdicts = self.verdicts()
        _same_keys("verdicts", expected.verdicts, verdicts)
        for key, values in expected.verdicts.items():
            found = verdicts[key]
            assert found == values, (
                f"verdicts of {key!r} differ: of {len(values)}, {len(set(values) - set(found))} are missing and "
                f"{len(set(found) - set(values))} are not expected, "
                f"{[(a, b) for a, b in zip(values, found, strict=False) if a != b][:1]}"
            )
        failures = self.failures()
        assert failures == expected.failures, "failed events differ"
        table = self.table()
        _same_keys("users", expected.users, table)
        different = [key for key, value in expected.users.items() if table[key] != value]
        assert not different, f"{len(different)} users' states differ, {different[:3]}"
        self.check_titles(expected)

    def check_titles(self, expected: Expected) -> None:
        """Check that titles and devices were judged as in a file, with no partition left out and no event too late."""
        counts = [state.counts for state in self.titles().values()]
        assert not any(
            count.get(name) for count in counts for name in ("too_late", "left_out", "unreadable")
        ), counts
        found = self.subject_verdicts()
        surplus, missing = (
            Counter(found) - Counter(expected.subjects),
            Counter(expected.subjects) - Counter(found),
        )
        assert not missing, (
            f"{len(missing)} of {len(expected.subjects)} are missing, such as {next(iter(missing))!r}"
        )
        assert not surplus, f"{len(surplus)} are not expected, such as {next(iter(surplus))!r}"

    def check_accounts(self, expected: Expected) -> None:
        """Check that every record of each partition ended in exactly one way, and that `ott judge` counts the same."""
        there = Counter(
            record.partition
            for name in ("raw-events", "raw-events-rekeyed", "privacy-requests")
            for record in self.read(self.topic(name))
        )
        last = {(r.partition, r.key): r.value for r in self.read(self.changelog)}
        total: Counter[str] = Counter()
        for partition, count in there.items():
            counts = PARTITION_FORM.decode(last[partition, PARTITION_KEY] or b"").counts
            ended = sum(counts.get(ending, 0) for ending in ENDINGS)
            assert ended == count, (
                f"partition {partition} has {count} records and accounts for {ended}: {counts}"
            )
            total.update(counts)
        accounts = expected.accounts
        assert {name: total[name] for name in ("judged", "duplicate", "failed", "flagged", "request")} == {
            "judged": accounts.judged,
            "duplicate": accounts.duplicate,
            "failed": accounts.failed,
            "flagged": accounts.flagged,
            "request": accounts.requests,
        }

    def check_disks(self) -> None:
        """Check that each local store equals its changelog up to the position that the store names."""
        app_id = self.settings.app_id
        changelogs: dict[str, list[Stored]] = {}
        for path in sorted(self.directory.glob("state-*/**/tables/*-*.db")):
            table, _, partition = path.name.removesuffix(".db").rpartition("-")
            if table not in changelogs:
                changelogs[table] = self.read(f"{app_id}-{table}-changelog")
            store = PartitionStore(path, f"{app_id} {table}", StoreCache(StoreOptions()))
            try:
                position, found = store.changelog_offset(), dict(store.items())
            finally:
                store.close()
            there: dict[bytes | None, bytes | None] = {}
            for record in changelogs[table]:
                if record.partition == int(partition) and position is not None and record.offset <= position:
                    there[record.key] = record.value
            wanted = {
                key: value
                for key, value in there.items()
                if value is not None and not key.startswith(RESERVED)
            }
            assert found == wanted, f"{path} is not what the changelog was at offset {position}"

    def group_lag(self) -> int:
        """The lag of the group: the ends of the topics minus its committed offsets, as a broker reports them."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": self.settings.app_id})
        try:
            names = (
                *("raw-events", "raw-events-rekeyed", "privacy-requests"),
                *("health-partials", "flagged-events"),
            )
            tps = [TopicPartition(self.topic(name), p) for name in names for p in range(self.partitions)]
            lag = 0
            for committed in consumer.committed(tps, timeout=15):
                first, end = consumer.get_watermark_offsets(committed, timeout=15)
                lag += end - max(first, committed.offset)
            return lag
        finally:
            consumer.close()

    # -- workers

    def worker(self, name: str = "a", *, kill: Sequence[str] = (), **variables: str) -> "Worker":
        """Start a worker; `kill` is a kill point, its probability and a seed."""
        state = self.directory / f"state-{name}"
        return Worker(
            name,
            {**os.environ, **self.variables, "OTT_STATE_DIR": str(state), **variables},
            self.directory / f"worker-{name}.log",
            kill,
        )


class Worker:
    """A worker process. Workers of the same name append to one log."""

    def __init__(self, name: str, variables: Mapping[str, str], log: Path, kill: Sequence[str] = ()) -> None:
        self.name = name
        self.log = log
        (port,) = free_ports()
        scheme = "https" if "OTT_WEB_TLS_CERT" in variables else "http"
        self.address = f"{scheme}://127.0.0.1:{port}"
        self._web = DemoWorker(self.address)
        command = [sys.executable, "-P", "-m", "pipeline.cli", "worker"]
        if kill:
            command = [sys.executable, "-P", str(VICTIM), *kill]
        with log.open("ab") as output:
            self.process = Leashed(command, output=output, env={**variables, "OTT_WEB_PORT": str(port)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_gone(self) -> bool:
        return self.process.exit_code is not None

    def accounts(self) -> dict[str, object] | None:
        """Its accounts; None while it does not answer or recovers."""
        try:
            body = self._web.get("/stats/accounts")
        except OSError:
            return None
        content: dict[str, object] = json.loads(body)
        return content

    def lag(self) -> int | None:
        accounts = self.accounts()
        if accounts is None:
            return None
        lag = accounts["lag"]
        assert isinstance(lag, dict)
        return sum(lag.values()) if lag else None

    def wait_ready(self) -> None:
        self._wait(lambda: self.accounts() is not None, READY_S, "is not ready")

    def wait_drained(self, read: int, timeout_s: float = DRAIN_S) -> dict[str, object]:
        """Wait until that many records are accounted for and none is left to read, and return its accounts."""

        def done() -> bool:
            accounts = self.accounts()
            return accounts is not None and accounts["read"] == read and self.lag() == 0

        self._wait(done, timeout_s, f"has not read {read} records; it says {self.accounts()}")
        # What is judged is committed within an interval.
        time.sleep(1.0)
        accounts = self.accounts()
        assert accounts is not None
        return accounts

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert not self.is_gone, f"worker {self.name} ended with {self.process.exit_code}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"worker {self.name} {what}:\n{self.tail()}"
            time.sleep(0.1)

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it without a warning, as the system does when memory runs out."""
        self.signal(signal.SIGKILL)
        self.wait_gone(10)

    def terminate(self) -> float:
        """Send SIGTERM, and return the seconds until it ended."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        self.wait_gone(15)
        return time.monotonic() - began

    def wait_gone(self, seconds: float) -> None:
        """Wait until it has ended."""
        deadline = time.monotonic() + seconds
        while not self.is_gone:
            assert time.monotonic() < deadline, f"worker {self.name} does not end:\n{self.tail()}"
            time.sleep(0.02)

    def stop(self) -> None:
        self.signal(signal.SIGCONT)
        self.process.stop()


@contextlib.contextmanager
def killed_at_end(workers: list[Worker]) -> Iterator[None]:
    """At the end of the block, stop every worker that is in the list by then."""
    try:
        yield
    finally:
        for worker in workers:
            worker.kill() if not worker.is_gone else None
            worker.stop()


def _text(record: Stored, header: str) -> str:
    return record.headers[header].decode()


def is_subject(verdict: bytes) -> bool:
    """Whether it is a verdict on a title or a device."""
    return b'"minute_end":' in verdict


def in_order(verdicts: Iterable[bytes]) -> list[bytes]:
    """Verdicts on titles and devices, sorted by minute, type and id."""

    def place(value: bytes) -> tuple[str, str, str]:
        verdict = json.loads(value)
        return verdict["minute_end"], verdict["subject"]["type"], verdict["subject"]["id"]

    return sorted(verdicts, key=place)


def _minute_end(verdict: bytes) -> int:
    return parse_formatted(json.loads(verdict)["minute_end"])


def envelope_of(record: Stored, *, where_it_is: bool = False) -> bytes:
    """The line of a file for a record, at the place where it was first written, or where it is."""
    topic, partition, offset, timestamp = record.topic, record.partition, record.offset, record.timestamp
    if TOPIC in record.headers:
        timestamp = int(record.headers[TIMESTAMP])
        if not where_it_is:
            topic = _text(record, TOPIC)
            partition, offset = (int(record.headers[name]) for name in (PARTITION, OFFSET))
    source = {"topic": topic, "partition": partition, "offset": offset, "timestamp": timestamp}
    if record.key is not None:
        source["key"] = record.key.decode()
    payload = None if record.value is None else b64encode(record.value).decode()
    return json.dumps({"source": source, "payload": payload, "payload_encoding": "base64"}).encode()


def _same_keys(what: str, expected: Mapping[bytes, object], found: Mapping[bytes, object]) -> None:
    missing, surplus = expected.keys() - found.keys(), found.keys() - expected.keys()
    assert not missing, f"{len(missing)} keys without {what}, such as {sorted(missing)[:3]}"
    assert not surplus, f"{len(surplus)} keys with unexpected {what}, such as {sorted(surplus)[:3]}"
