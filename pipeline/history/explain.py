"""Explaining a verdict: its user is judged again up to the record, and the events that made each finding are shown."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from pipeline.assembly import build_evaluator
from pipeline.errors import RefusedError
from pipeline.events.invalid import InvalidMessageError
from pipeline.history.partition import Job, PartitionReplay
from pipeline.history.reading import bounds, read_range, records_of
from pipeline.history.survey import TimeRange, survey
from pipeline.history.verdicts import read_verdict
from pipeline.kafka.topics import FLAGGED_EVENTS, RAW_EVENTS
from pipeline.windows.entry import FAILS_LOGIN, KINDS, PLAYING, ROLES
from pipeline.windows.window import MAX_ENTRIES, PLAYING_MS, WINDOW_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.evaluation.evaluator import Outcome
    from pipeline.events.event import Event
    from pipeline.history.partition import Judged
    from pipeline.history.verdicts import Found
    from pipeline.kafka.follower import Record
    from pipeline.settings.schema import Settings

_MEASURES: Final = {
    "account.multi_region": ("distinct_regions", {"MEDIUM": "medium_over", "HIGH": "high_over"}),
    "account.multi_ip": ("distinct_networks", {"MEDIUM": "medium_over", "HIGH": "high_over"}),
    "account.high_frequency": ("events", {"MEDIUM": "medium_over", "HIGH": "high_over"}),
    "account.concurrent_streams": ("devices_playing", {"MEDIUM": "limit", "HIGH": "high_over"}),
    "account.login_failures": ("failures", {"MEDIUM": "medium_over", "HIGH": "high_over"}),
    "account.impossible_travel": ("speed_kmh", {"HIGH": "max_speed_kmh"}),
    "anomaly.isolation_forest": ("score", {"MEDIUM": "threshold"}),
}
"""By rule, the value in the evidence that is compared, and the limits that it must be above, by level."""


class Limit(NamedTuple):
    """How far a value is from the limit of a level; positive where the value is above it."""

    level: str
    limit: float
    by: float


class Explained(NamedTuple):
    """One finding of a verdict.

    Attributes:
        finding: as it was published.
        measure: the name of the value that the rule compares, and the value; None for a rule that compares none.
        limits: how far the value is from each limit.
        events: the events that made it, oldest first.
    """

    finding: dict[str, Any]
    measure: tuple[str, float] | None
    limits: list[Limit]
    events: list[Event]


class Explanation(NamedTuple):
    """What can be said of a verdict.

    Attributes:
        verdict: as it was published.
        findings: in the order of the verdict.
        window: the events of the user's hour, with the verdict's own, oldest first; empty for a late event.
        again: the bytes that judging the record again gives; None where it gives no verdict.
        same: whether they are the published ones.
    """

    verdict: dict[str, Any]
    findings: list[Explained]
    window: list[Event]
    again: bytes | None
    same: bool


async def find_verdict(settings: Settings, verdict_id: str) -> Found:
    """The verdict with an id on `flagged-events`.

    Raises:
        RefusedError: there is none, or it is on a title or device.
        MissingError: no broker answers, or the topic is not there.
    """
    topic, needle = settings.topic(FLAGGED_EVENTS.name), verdict_id.encode()
    async with aclosing(records_of(settings, topic)) as records:
        async for record in records:
            if record.value is None or needle not in record.value:
                continue
            found = read_verdict(record.value)
            if found is None or found.verdict_id != verdict_id:
                continue
            if found.place.subject is not None:
                raise RefusedError(
                    f"verdict {verdict_id} is on {found.place.subject}, judged once a minute over all users; its "
                    "evidence has all numbers; ott tail --from-beginning --user ID shows it"
                )
            return found
    raise RefusedError(f"{topic} has no verdict {verdict_id}; it keeps verdicts for 30 days")


def explain(settings: Settings, verdict_id: str, warm_ms: int | None) -> Explanation:
    """Explain a verdict on a user.

    Args:
        settings: as those of the workers.
        verdict_id: of the verdict.
        warm_ms: how long before the record the user's partition is judged, beside the hour of the window; None for
            everything that is kept.

    Raises:
        RefusedError: there is no such verdict, or its record was deleted.
        MissingError: see `survey` and `PartitionReplay.run`.
    """
    return asyncio.run(_explain(settings, verdict_id, warm_ms))


async def _explain(settings: Settings, verdict_id: str, warm_ms: int | None) -> Explanation:
    published = await find_verdict(settings, verdict_id)
    record = await _source_record(settings, published)
    evaluator = build_evaluator(settings)
    try:
        event = evaluator.decoder.event(record.value)
    except InvalidMessageError as error:
        raise RefusedError(
            f"{published.place} is no valid event now ({error.reason}); was the topic made anew?"
        ) from None
    time = record.timestamp
    warm = 0 if warm_ms is None else max(0, time - warm_ms - WINDOW_MS)
    found = await survey(settings, TimeRange(max(time, 1), time + 1, warm), None, event.user_id)
    # Of all records of that millisecond only this one counts.
    (place,) = found.ranges
    if record.partition == place.partition:
        place = msgspec.structs.replace(
            place,
            warm=min(place.warm, record.offset),
            first=record.offset,
            last=record.offset + 1,
            end=record.offset + 1,
        )
    job = Job(
        settings,
        place,
        found.sources | {record.partition: (record.offset, record.offset + 1)},
        (time, time + 1),
        [line for line in found.lines[place.partition] if line.offset <= place.end],
        found.rules,
        found.models,
        found.origin_key,
        None,
    )
    values: list[bytes] = []

    def take(judged: Judged) -> None:
        values.extend(value for _, value in judged.verdicts)

    watch = _Watch(event.user_id)
    await PartitionReplay(job, evaluator, take, _unwatched, (watch, watch)).run()
    again = next((value for value in values if _is_on(value, published)), None)
    verdict = msgspec.json.decode(published.value)
    window = watch.window_of(event)
    findings = [_explained(finding, window, event) for finding in verdict["findings"]]
    return Explanation(verdict, findings, window, again, again == published.value)


async def _source_record(settings: Settings, published: Found) -> Record:
    place, topic = published.place, settings.topic(RAW_EVENTS.name)
    if place.topic != topic or place.partition is None or place.offset is None:
        raise RefusedError(
            f"verdict {published.verdict_id} is on {place}, and only records of {topic} can be judged again"
        )
    found = await bounds(settings, topic, [])
    if place.offset < found.oldest.get(place.partition, 0):
        days = (RAW_EVENTS.retention_ms or 0) // 86_400_000
        raise RefusedError(f"cannot be shown any more: {topic} keeps {days} days, and {place} is older")
    async with aclosing(
        read_range(settings, topic, place.partition, place.offset, place.offset + 1)
    ) as batches:
        async for batch in batches:
            return batch[0]
    raise RefusedError(f"cannot be shown: {place} is not on the topic; was it made anew?")


def _unwatched(_: int) -> None:
    """No progress is shown."""


def _is_on(value: bytes, published: Found) -> bool:
    found = read_verdict(value)
    return found is not None and found.place == published.place


class _Watch:
    """Keeps the newest events of one user, as the evaluation notes them."""

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id
        self._events: deque[Event] = deque(maxlen=2 * MAX_ENTRIES)

    def note(self, event: Event, outcome: Outcome, partition_time: int | None) -> None:  # noqa: ARG002 - as Note
        """Keep an event that was judged and is not late."""
        if event.user_id == self._user_id:
            self._events.append(event)

    def after(self, time: int | None, ruleset: str) -> None:
        """Nothing is counted here."""

    def window_of(self, event: Event) -> list[Event]:
        """The window as it was with an event in it, oldest first; empty if the event was not kept."""
        seen = list(self._events)
        while seen and seen[-1] != event:
            seen.pop()
        if not seen:
            return []
        end = max(one.time for one in seen)
        return sorted((one for one in seen if one.time > end - WINDOW_MS), key=lambda one: one.time)


def _explained(finding: dict[str, Any], window: Sequence[Event], event: Event) -> Explained:
    evidence, rule = finding["evidence"], finding["rule_id"]
    measure, limits = None, []
    name, keys = _MEASURES.get(rule, ("", {}))
    if name in evidence:
        measure = (name, evidence[name])
        limits = [Limit(level, evidence[key], evidence[name] - evidence[key]) for level, key in keys.items()]
    return Explained(finding, measure, limits, _makers(rule, evidence, window, event))


def _makers(  # noqa: PLR0911 - one case for each rule
    rule: str, evidence: dict[str, Any], window: Sequence[Event], event: Event
) -> list[Event]:
    """The events that made a finding."""
    match rule:
        case "account.multi_region":
            return _first_by(window, lambda one: one.region)
        case "account.multi_ip":
            return _first_by(window, lambda one: one.network)
        case "account.login_failures":
            return [one for one in window if _role(one) == FAILS_LOGIN]
        case "account.concurrent_streams":
            newest = {one.device_id: one for one in window if _role(one) in PLAYING}
            return [one for one in newest.values() if one.time > window[-1].time - PLAYING_MS]
        case "account.impossible_travel":
            before = [
                one for one in window if one.region == evidence["from_region"] and one.time <= event.time
            ]
            return [*before[-1:], event]
        case "account.high_frequency" | "anomaly.isolation_forest":
            return list(window)
        case "retention.opt_out_ignored" if not event.signals_opt_out:
            return [*[one for one in window if one.signals_opt_out], event]
        case _:
            return [event]


def _first_by(window: Sequence[Event], key: Callable[[Event], str]) -> list[Event]:
    found: dict[str, Event] = {}
    for one in window:
        found.setdefault(key(one), one)
    return list(found.values())


def _role(event: Event) -> int:
    return ROLES[KINDS[event.type] + bool(event.error_code)]
