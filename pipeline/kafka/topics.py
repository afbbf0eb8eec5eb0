"""The topics of the project: who writes and reads each one, how long its records are kept, and how it is created.

Other systems and committed offsets refer to the names, so a name never changes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from pipeline.errors import MissingError, RefusedError
from pipeline.kafka.brokers import connected_admin, say_on_stderr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka.admin import AIOKafkaAdminClient

    from pipeline.settings.schema import Settings

_DAY_MS = 86_400_000
_FOR_EVER = -1

_METADATA_TIMEOUT_S = 15.0
_RETRY_S = 0.1
# With so many replicas a write must reach two: then one broker may be lost, and writing goes on.
_REPLICAS_FOR_TWO_IN_SYNC = 3


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the contract.

    Attributes:
        name: without the prefix of the settings.
        key: what its record keys are.
        cleanup: Kafka's `cleanup.policy`.
        retention_ms: how long records are kept, -1 for ever; None for a compacted topic.
        timestamps: Kafka's `message.timestamp.type`; with LogAppendTime the broker's clock counts.
        copartitioned: the group of topics that must have the same partition count as this one, if any.
        prefixed: whether the name on the cluster has the prefix of the settings.
        written_by: who writes it.
        read_by: who reads it.
    """

    name: str
    key: str
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int | None = None
    timestamps: Literal["CreateTime", "LogAppendTime"] = "CreateTime"
    copartitioned: str | None = None
    prefixed: bool = True
    written_by: str = ""
    read_by: str = ""

    def configs(self, replication_factor: int) -> dict[str, str]:
        """The topic configuration as Kafka names it."""
        configs: dict[str, str] = {"cleanup.policy": self.cleanup, "message.timestamp.type": self.timestamps}
        if self.retention_ms is not None:
            configs["retention.ms"] = str(self.retention_ms)
        if replication_factor >= _REPLICAS_FOR_TWO_IN_SYNC:
            configs["min.insync.replicas"] = "2"
        return configs


# The partitions with the same number of all these topics share one state and one commit.
BY_USER = "by user"

# A partition of `flagged-events` and its part of the alert table share one commit.
BY_SUBJECT = "by subject"

# A partition of `health-partials` and its part of the title table share one commit.
BY_DIMENSION = "by dimension"

RAW_EVENTS = Topic(
    name="raw-events",
    key="user_id",
    retention_ms=7 * _DAY_MS,
    timestamps="LogAppendTime",
    copartitioned=BY_USER,
    written_by="producers, HTTP ingest",
    read_by="risk agent, replay",
)
# The broker's timestamps of these do not count: judging takes the timestamp of the original record from a header.
RAW_EVENTS_REKEYED = Topic(
    name="raw-events-rekeyed",
    key="user_id",
    retention_ms=7 * _DAY_MS,
    timestamps="LogAppendTime",
    copartitioned=BY_USER,
    written_by="risk agent",
    read_by="risk agent, replay",
)
# Compaction would keep one request for each user, but regulators ask for 24 months of all requests.
PRIVACY_REQUESTS = Topic(
    name="privacy-requests",
    key="user_id",
    retention_ms=_FOR_EVER,
    copartitioned=BY_USER,
    written_by="privacy office, HTTP",
    read_by="risk agent",
)
FLAGGED_EVENTS = Topic(
    name="flagged-events",
    key="subject id",
    retention_ms=30 * _DAY_MS,
    copartitioned=BY_SUBJECT,
    written_by="risk and title agents",
    read_by="downstream consumers, alert agent",
)
FAILED_EVENTS = Topic(
    name="failed-events",
    key="original key",
    retention_ms=30 * _DAY_MS,
    written_by="risk agent, HTTP ingest",
    read_by="recover tool",
)
RISK_ALERTS = Topic(
    name="risk-alerts",
    key="subject id + rule_id",
    cleanup="compact",
    written_by="alert agent",
    read_by="on-call, case tools",
)
HEALTH_PARTIALS = Topic(
    name="health-partials",
    key="number of the partition of the risk agent",
    retention_ms=_DAY_MS,
    copartitioned=BY_DIMENSION,
    written_by="risk agent",
    read_by="title agent",
)
RULE_CONFIG = Topic(
    name="rule-config",
    key="ruleset, or pause",
    cleanup="compact",
    written_by="operators",
    read_by="every worker",
)
# All records are in partition 0, because a model must come before the record that puts it in force.
MODEL_CONFIG = Topic(
    name="model-config",
    key="model/VERSION, or in-force",
    cleanup="compact",
    written_by="operators",
    read_by="every worker",
)
# A replay needs the journal as long as the events that it belongs to.
CONTROL_JOURNAL = Topic(
    name="control-journal",
    key="partition",
    retention_ms=RAW_EVENTS.retention_ms,
    written_by="risk agent",
    read_by="replay, audit",
)

# It is kept as long as privacy requests. A worker compares the broker's timestamp with the time in the entry, so it
# notices at the first log-in or question that its clock is wrong.
AUDIT_TRAIL = Topic(
    name="audit-trail",
    key="user name",
    retention_ms=730 * _DAY_MS,
    timestamps="LogAppendTime",
    written_by="web views",
    read_by="GET /audit, auditors",
)

TOPICS = (
    RAW_EVENTS,
    RAW_EVENTS_REKEYED,
    PRIVACY_REQUESTS,
    FLAGGED_EVENTS,
    FAILED_EVENTS,
    RISK_ALERTS,
    HEALTH_PARTIALS,
    RULE_CONFIG,
    MODEL_CONFIG,
    CONTROL_JOURNAL,
    AUDIT_TRAIL,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What `ensure_topics` found and did. Names have their prefix."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    partitions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """A property of a topic that differs from the contract and the settings."""

    topic: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class _Found:
    partitions: int
    replication_factor: int


def changelog(app_id: str, table: str, copartitioned: str = BY_USER) -> Topic:
    """The changelog of a table, with the name that Faust gives it.

    Args:
        app_id: of the application.
        table: name of the table.
        copartitioned: the group of the topics that the table is made from.
    """
    return Topic(
        name=f"{app_id}-{table}-changelog",
        key="table key",
        cleanup="compact",
        copartitioned=copartitioned,
        prefixed=False,
        written_by="risk agent",
        read_by="recovery, standbys",
    )


def origin_key(app_id: str) -> Topic:
    """The topic of the origin key, see `pipeline.coordination.origin_key`."""
    return Topic(
        name=f"{app_id}-origin-key",
        key="none",
        retention_ms=_FOR_EVER,
        prefixed=False,
        written_by="the first worker, once",
        read_by="every worker",
    )


async def ensure_topics(
    settings: Settings,
    timeout_s: float = 30.0,
    say: Callable[[str], None] = say_on_stderr,
    also: Sequence[Topic] = (),
) -> Report:
    """Create the topics that are missing, with the partition count and replication factor of the settings.

    Every worker calls it at its start, and so do `ott topics create` and the demo.

    Args:
        settings: where the brokers are, and what to create.
        timeout_s: how long to wait for a broker.
        say: told when a wait begins.
        also: topics that are not in the contract, such as the changelogs of a worker.

    Raises:
        RefusedError: a topic has another partition count than its co-partitioned peers, or would get one.
        MissingError: no broker answers within `timeout_s` seconds, or a broker refuses to create a topic.
    """
    async with connected_admin(settings, timeout_s, say) as admin:
        topics = (*TOPICS, *also)
        found = await _describe(admin, settings, topics)
        _require_copartitioned(settings, found, topics)
        missing = [topic for topic in topics if _full_name(settings, topic) not in found]
        created = await _create(admin, settings, missing)
        if missing:
            found = await _wait_until_described(admin, settings, topics)
            # Another process may have created some of them meanwhile, with other settings.
            _require_copartitioned(settings, found, topics)
    return Report(
        created=created,
        existing=tuple(name for name in found if name not in created),
        partitions={name: topic.partitions for name, topic in found.items()},
    )


async def check_topics(
    settings: Settings, timeout_s: float = 30.0, say: Callable[[str], None] = say_on_stderr
) -> list[Difference]:
    """The differences between the topics on the cluster and the contract and settings. Nothing is changed.

    A property that the broker does not report is no difference; the embedded one reports only what was set.

    Raises:
        MissingError: no broker answers within `timeout_s` seconds.
    """
    async with connected_admin(settings, timeout_s, say) as admin:
        found = await _describe(admin, settings, TOPICS)
        configs = await _describe_configs(admin, list(found))
    differences = []
    for topic in TOPICS:
        name = _full_name(settings, topic)
        if name not in found:
            differences.append(Difference(name, "topic", "present", "missing"))
            continue
        pairs = {
            "partition count": (str(settings.partitions), str(found[name].partitions)),
            "replication factor": (str(settings.replication_factor), str(found[name].replication_factor)),
        }
        for key, wanted in topic.configs(settings.replication_factor).items():
            pairs[key] = (wanted, configs[name].get(key, wanted))
        differences += [Difference(name, what, *pair) for what, pair in pairs.items() if pair[0] != pair[1]]
    return differences


def _full_name(settings: Settings, topic: Topic) -> str:
    return settings.topic(topic.name) if topic.prefixed else topic.name


async def _describe(
    admin: AIOKafkaAdminClient, settings: Settings, topics: Sequence[Topic]
) -> dict[str, _Found]:
    """Those of the topics that are on the cluster, by full name."""
    # All topics are asked for: naming one that is missing would create it where auto-creation is on.
    described = {entry["topic"]: entry for entry in await admin.describe_topics()}
    names = [_full_name(settings, topic) for topic in topics]
    return {
        name: _Found(
            len(described[name]["partitions"]),
            min(len(partition["replicas"]) for partition in described[name]["partitions"]),
        )
        for name in names
        if name in described and described[name]["partitions"]
    }


async def _describe_configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    configs: dict[str, dict[str, str]] = {name: {} for name in names}
    if not names:
        return configs
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in cast("Any", response).resources:
            if code:
                raise for_code(code)(message)
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


async def _wait_until_described(
    admin: AIOKafkaAdminClient, settings: Settings, topics: Sequence[Topic]
) -> dict[str, _Found]:
    """Wait until a broker knows all topics. Each broker learns of a new topic at its own time."""
    async with asyncio.timeout(_METADATA_TIMEOUT_S):
        while True:
            found = await _describe(admin, settings, topics)
            if len(found) == len(topics):
                return found
            await asyncio.sleep(_RETRY_S)


async def _create(admin: AIOKafkaAdminClient, settings: Settings, missing: list[Topic]) -> tuple[str, ...]:
    """Create topics, and return the names of those that did not exist before."""
    if not missing:
        return ()
    replicas = settings.replication_factor
    response: Any = await admin.create_topics(
        [
            NewTopic(
                _full_name(settings, topic),
                settings.partitions,
                replicas,
                topic_configs=topic.configs(replicas),
            )
            for topic in missing
        ]
    )
    created = []
    for name, code, *rest in response.topic_errors:
        if code == TopicAlreadyExistsError.errno:
            continue
        if code:
            reason = (rest[0] if rest else None) or for_code(code).__name__
            raise MissingError(
                f"topic {name} with {settings.partitions} partitions and {replicas} replicas cannot be "
                f"created at {settings.bootstrap_servers}: {reason}; see OTT_PARTITIONS and "
                "OTT_REPLICATION_FACTOR"
            )
        created.append(name)
    return tuple(created)


def _require_copartitioned(settings: Settings, found: Mapping[str, _Found], topics: Sequence[Topic]) -> None:
    """Refuse before anything is created. A missing topic counts with the partition count of the settings."""
    groups: defaultdict[str, list[Topic]] = defaultdict(list)
    for topic in topics:
        if topic.copartitioned is not None:
            groups[topic.copartitioned].append(topic)
    for group in groups.values():
        counts = {}
        for topic in group:
            name = _full_name(settings, topic)
            counts[name] = found[name].partitions if name in found else settings.partitions
        first, count = next(iter(counts.items()))
        for other, other_count in counts.items():
            if other_count != count:
                raise RefusedError(_mismatch(found, first, count, other, other_count))


def _mismatch(found: Mapping[str, _Found], first: str, count: int, other: str, other_count: int) -> str:
    if first in found and other in found:
        return (
            f"topic {other} has {other_count} partitions and {first} has {count}; they must have the same "
            f"number: delete or rename {other} and let it be created again, or use another OTT_TOPIC_PREFIX"
        )
    present, absent = (first, other) if first in found else (other, first)
    wanted = found[present].partitions
    return (
        f"topic {present} has {wanted} partitions and {absent} would be created with "
        f"{other_count if absent == other else count}; they must have the same number: "
        f"set OTT_PARTITIONS={wanted}"
    )
