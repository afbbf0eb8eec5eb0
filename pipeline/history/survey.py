"""The survey before a replay: which offsets the range has, and what the control topics say about it.

Everything is fixed here, so that a replay is bounded, and a second start reads the same records.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from aiokafka.errors import KafkaError

from pipeline.coordination.model_config import PARTITION
from pipeline.coordination.origin_key import known_key
from pipeline.coordination.rule_config import KEY
from pipeline.delivery.partitioner import partition_of
from pipeline.errors import MissingError, UsageError
from pipeline.evaluation.control import CONTROL_SCHEMA, ControlApplied, ControlKind
from pipeline.events.foreign import UNREADABLE, UnreadableError, json_reader, read_text
from pipeline.events.instants import format_instant, parse_formatted
from pipeline.history.models import PublishedModels
from pipeline.history.reading import OLDEST, Bounds, bounds, records_of
from pipeline.history.rule_sets import OWN, Published
from pipeline.kafka.brokers import broker_trouble, wait_for_broker
from pipeline.kafka.follower import Follower, TopicMissingError, from_beginning
from pipeline.kafka.topics import (
    CONTROL_JOURNAL,
    MODEL_CONFIG,
    PRIVACY_REQUESTS,
    RAW_EVENTS,
    RAW_EVENTS_REKEYED,
    RULE_CONFIG,
    origin_key,
)
from pipeline.rules.ruleset import RuleSetError, parse_ruleset

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.settings.schema import Settings

_read_control = json_reader(ControlApplied)


class Line(NamedTuple):
    """A line of `control-journal`: before the record of `raw-events` at `offset`, `kind` took effect."""

    offset: int
    kind: ControlKind
    id: str
    at: str | None


class PartitionRange(msgspec.Struct, frozen=True):
    """What is read of one partition. It stands in the manifest. Ends are not included.

    Attributes:
        partition: its number.
        warm: the offset of `raw-events` at which the warm-up begins.
        first: the first offset of the range.
        last: the end of the range.
        end: the end of what is judged. It is behind `last` where re-keyed events of the range were judged later.
        rekeyed: the first offset of `raw-events-rekeyed`.
        rekeyed_end: its end.
        requests_end: the end of `privacy-requests`, which is read from its beginning.
        merged: whether what the journal does not name is merged by timestamps. It is not where the journal goes on
            behind `end`, because then it was judged behind `end`.
        whole: whether the range ends with the topic.
    """

    partition: int
    warm: int
    first: int
    last: int
    end: int
    rekeyed: int
    rekeyed_end: int
    requests_end: int
    merged: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What a replay has to know of the topics.

    Attributes:
        ranges: of the partitions that are judged.
        sources: the range of every partition of `raw-events`, by its number: first offset and end.
        lines: by partition, the lines of the journal up to the end of what is judged.
        rules: the rule sets on `rule-config`, oldest first.
        models: the models on `model-config`.
        origin_key: of the application; None where no worker has made one.
    """

    ranges: list[PartitionRange]
    sources: dict[int, tuple[int, int]]
    lines: dict[int, list[Line]]
    rules: list[Published]
    models: PublishedModels
    origin_key: bytes | None


class TimeRange(NamedTuple):
    """Times in milliseconds since 1970. `begin` is included, `end` is not; None is the end of the topics.

    `warm` is when the warm-up begins.
    """

    begin: int
    end: int | None
    warm: int


async def survey(
    settings: Settings,
    times: TimeRange,
    partitions: Collection[int] | None,
    user: str | None,
    known: Sequence[PartitionRange] | None = None,
    done: Collection[int] = (),
) -> Survey:
    """Look at the topics.

    Args:
        settings: where the brokers are.
        times: the range.
        partitions: numbers of those to judge; None for all, or for that of the user.
        user: the user whose partition is judged; None for all.
        known: the ranges of an earlier start, which are taken instead of new ones.
        done: the partitions that an earlier start has judged.

    Raises:
        MissingError: no broker answers, a topic is not there, or records of the range are not kept any more.
        UsageError: there is no such partition.
    """
    await wait_for_broker(settings)
    try:
        # The journal comes first: what it names is on the other topics already.
        journal = await read_journal(settings)
        rules = await read_rules(settings)
        models = await _read_models(settings)
        asked = [times.warm, times.begin, *([] if times.end is None else [times.end])]
        requests = await bounds(settings, settings.topic(PRIVACY_REQUESTS.name), [])
        rekeyed = await bounds(settings, settings.topic(RAW_EVENTS_REKEYED.name), [times.warm])
        raw = await bounds(settings, settings.topic(RAW_EVENTS.name), asked)
        key = await known_key(settings, origin_key(settings.app_id).name)
    except TopicMissingError as error:
        raise MissingError(
            f"{error.args[0]} at {settings.bootstrap_servers}; see OTT_TOPIC_PREFIX, or create ours with: ott topics "
            "create"
        ) from error
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
    if user is not None:
        partitions = [partition_of(user.encode(), len(raw.end))]
    chosen = sorted(raw.end if partitions is None else partitions)
    for number in chosen:
        if number not in raw.end:
            topic = settings.topic(RAW_EVENTS.name)
            raise UsageError(f"--partitions {number}: {topic} has the partitions 0 to {len(raw.end) - 1}")
    ends = raw.end if times.end is None else raw.at[times.end]
    sources = {number: (raw.at[times.begin][number], ends[number]) for number in raw.end}
    if known is None:
        _require_kept(settings, raw, times, chosen)
        known = [_range(number, raw, times, rekeyed, requests, journal.get(number, [])) for number in chosen]
    else:
        _require_unread(settings, raw, [one for one in known if one.partition not in done])
        sources |= {one.partition: (one.first, one.last) for one in known}
    lines = {one.partition: needed(journal.get(one.partition, []), one) for one in known}
    return Survey(list(known), sources, lines, rules, models, key)


def _range(
    number: int,
    raw: Bounds,
    times: TimeRange,
    rekeyed: Bounds,
    requests: Bounds,
    lines: Sequence[Line],
) -> PartitionRange:
    warm, first = raw.at[times.warm][number], raw.at[times.begin][number]
    last = raw.end[number] if times.end is None else raw.at[times.end][number]
    end = last
    until = times.end
    if until is not None:
        # Re-keyed events of the range may have been judged later.
        later = [
            line.offset
            for line in lines
            if line.kind == "rekeyed" and (line.at is None or parse_formatted(line.at) < until)
        ]
        end = min(max([last, *later]), raw.end[number])
    before = [int(line.id) + 1 for line in lines if line.kind == "rekeyed" and line.offset < warm]
    return PartitionRange(
        number,
        warm,
        first,
        last,
        end,
        before[-1] if before else rekeyed.at[times.warm].get(number, 0),
        rekeyed.end.get(number, 0),
        requests.end.get(number, 0),
        merged=not any(line.offset > end for line in lines),
        whole=end == raw.end[number],
    )


def _require_kept(settings: Settings, raw: Bounds, times: TimeRange, chosen: Sequence[int]) -> None:
    """Refuse a range that begins before the oldest record that is kept. From the beginning is always allowed."""
    if times.begin == OLDEST:
        return
    for number in chosen:
        oldest = raw.oldest[number]
        if oldest > 0 and raw.at[times.begin][number] == oldest:
            raise MissingError(
                f"{settings.topic(RAW_EVENTS.name)}/{number} keeps nothing from before {format_instant(times.begin)} "
                f"any more (its oldest record has the offset {oldest}); begin later, or leave out --from to begin with "
                "the oldest record of each partition"
            )


def _require_unread(settings: Settings, raw: Bounds, ranges: Sequence[PartitionRange]) -> None:
    """Refuse to go on where records that are not judged yet were deleted meanwhile."""
    for one in ranges:
        oldest = raw.oldest[one.partition]
        if one.warm < min(oldest, one.end):
            place = f"{settings.topic(RAW_EVENTS.name)}/{one.partition}"
            raise MissingError(
                f"{place} keeps nothing from before offset {oldest} any more, and this replay was to go on at "
                f"{one.warm}; delete its manifest, and begin with a later --from"
            )


async def sources_between(settings: Settings, begin: int, end: int | None) -> dict[int, tuple[int, int]]:
    """By partition of `raw-events`, the first offset and the end of a range of times; None is the end of the topic.

    Raises:
        MissingError: no broker answers, or the topic is not there.
    """
    await wait_for_broker(settings)
    try:
        raw = await bounds(
            settings, settings.topic(RAW_EVENTS.name), [begin, *([] if end is None else [end])]
        )
    except TopicMissingError as error:
        raise MissingError(f"{error.args[0]} at {settings.bootstrap_servers}") from error
    except KafkaError as error:
        raise broker_trouble(settings, error) from error
    ends = raw.end if end is None else raw.at[end]
    return {number: (raw.at[begin][number], ends[number]) for number in raw.end}


def needed(lines: Sequence[Line], place: PartitionRange) -> list[Line]:
    """The lines that a replay of a range has to follow.

    Of the rule sets and models before the warm-up only the last ones are among them: others may not be kept any more.
    """
    last = {line.kind: number for number, line in enumerate(lines) if line.offset < place.warm}
    return [
        line
        for number, line in enumerate(lines)
        if line.offset <= place.end
        and (
            line.offset >= place.warm
            or line.kind == "request"
            or (line.kind != "rekeyed" and last[line.kind] == number)
        )
    ]


async def read_journal(settings: Settings) -> dict[int, list[Line]]:
    """The lines of the journal by partition, in their order. What is no line of ours is passed over.

    Raises:
        MissingError: no broker answers, or the topic is not there.
    """
    lines: dict[int, list[Line]] = {}
    async with aclosing(records_of(settings, settings.topic(CONTROL_JOURNAL.name))) as records:
        async for record in records:
            line = read_line(record.value)
            if line is not None:
                lines.setdefault(line[0], []).append(line[1])
    return lines


def read_line(value: bytes | None) -> tuple[int, Line] | None:
    """The partition and the line of a record of `control-journal`; None where it is none."""
    try:
        found = _read_control(value)
        if found.at is not None:
            parse_formatted(found.at)
        if found.kind == "rekeyed":
            int(found.id)
    except (UnreadableError, *UNREADABLE):
        return None
    if found.schema != CONTROL_SCHEMA:
        return None
    return found.partition, Line(found.offset, found.kind, found.id, found.at)


async def read_rules(settings: Settings) -> list[Published]:
    """The rule sets on `rule-config` that can be read. A tombstone brings back a worker's own and has no version.

    Raises:
        MissingError: no broker answers, or the topic is not there.
    """
    found: list[Published] = []
    async with aclosing(records_of(settings, settings.topic(RULE_CONFIG.name))) as records:
        async for record in records:
            if record.key != KEY:
                continue
            if record.value is None:
                found.append(Published(record.timestamp, OWN, ""))
                continue
            try:
                document = read_text(record.value)
                found.append(
                    Published(record.timestamp, parse_ruleset(document, "rule-config").version, document)
                )
            except (UnreadableError, RuleSetError):
                continue
    return sorted(found, key=lambda one: one.at)


async def _read_models(settings: Settings) -> PublishedModels:
    models, topic = PublishedModels({}, []), settings.topic(MODEL_CONFIG.name)
    async with Follower(
        settings.kafka_client_options(), [topic], from_beginning, partitions={PARTITION}
    ) as follower:
        try:
            await follower.connect()
        except TopicMissingError:
            # Workers before models had no such topic.
            return models
        while not follower.at_end:
            for batch in (await follower.poll()).values():
                for record in batch:
                    models.take(record.key, record.value, record.timestamp)
    return models
