"""The health agent's judgement: partials in, figures and level changes out.

Rows are summed where they belong; every source partition's time moves the watermark; each minute that the watermark closes
is judged once, in order. Nothing here reads a clock: the *flow clock* is made of the timestamps of the partials' own
records (see `HealthJudge._tick`), so that a replay of them decides alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pipeline.evaluation.minutes import GRACE_MS, MINUTE_MS, WINDOW_MINUTES, last_closed
from pipeline.evaluation.partials import PartialError, decode_partial
from pipeline.evaluation.roll_ups import ACCOUNT, FLAGGED, PLAY, START_FAILED
from pipeline.evaluation.roll_ups import WATCHED as WATCHED_MS
from pipeline.evaluation.subject_health import (
    FAILED,
    PLAYS,
    TOTAL,
    USERS,
    WATCHED,
    HealthPartition,
    Part,
    Seen,
    Source,
    SubjectHealth,
    TitleMinute,
    Unit,
    add,
    names_between,
)
from pipeline.evaluation.subjects import SubjectKey, SubjectRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.evaluation.partials import Partial, Rows
    from pipeline.evaluation.subject_health import HealthValue
    from pipeline.evaluation.verdict import SubjectVerdict
    from pipeline.rules.error_rate import ErrorRate

PARTITION_KEY: Final = b"p"
SILENCE_MS: Final = 30_000
"""A source partition that nothing came from for so long does not hold the watermark back."""
STEP_MS: Final = 5_000
"""The flow clock goes on by so much at most from one partial to the next: a pause of everything is no silence."""
KEPT_HOURS: Final = 24
"""A subject without an event for so many hours of event time is forgotten."""
_SEEN_TOGETHER: Final = 2_000
_MINUTES_AN_HOUR: Final = 60


class Records(Protocol):
    """The table's partition, as this module reads and writes it (see `pipeline.delivery.unit.State`)."""

    cache: dict[bytes, HealthValue]
    dirty: set[bytes]

    def load(self, key: bytes, /) -> HealthValue | None:
        """The value of a key that is not in the cache."""
        ...

    def get(self, key: bytes, /) -> HealthValue | None:
        """The value of a key."""
        ...

    def __setitem__(self, key: bytes, value: HealthValue, /) -> None:
        """Write a key."""
        ...

    def discard(self, key: bytes, /) -> None:
        """Delete a key."""
        ...


def record_key(subject: str) -> bytes:
    """The table key of a subject's figures; `subject` is its dimension, a colon and its id."""
    return b"s" + subject.encode()


def title_minute_key(content_id: str, minute: int) -> bytes:
    """The table key of one minute of a title."""
    return b"m" + minute.to_bytes(4, "big") + content_id.encode()


def part_key(unit: int, part: int) -> bytes:
    """The table key of a part of a unit's last chunk."""
    return b"c%d.%d" % (unit, part)


def seen_key(hour: int, number: int) -> bytes:
    """The table key of a record of `Seen`."""
    return b"x%d.%d" % (hour, number)


class HealthJudge:
    """Folds partials into the records of one partition.

    Args:
        rules: the subject rules.
        sources: the names of all source partitions there can be.
    """

    def __init__(self, rules: SubjectRules, sources: Iterable[str]) -> None:
        self._rules = rules
        self._sources = frozenset(sources)
        self._least_failed = {name: _least_failed(rule) for name, rule in rules.by_type.items()}

    def fold(self, records: Records, messages: Iterable[tuple[int, bytes | None]]) -> list[SubjectVerdict]:
        """Fold messages (timestamp, value) in their order; the level changes that follow."""
        value = records.get(PARTITION_KEY)
        state = value if isinstance(value, HealthPartition) else HealthPartition()
        folding = _Folding(records, state, self._least_failed)
        verdicts: list[SubjectVerdict] = []
        for timestamp, message in messages:
            self._tick(state, timestamp)
            try:
                partial = decode_partial(message)
            except PartialError:
                folding.count("unreadable", 1)
                continue
            if not folding.take(partial, message or b"") or partial.sources is None:
                continue
            for source in partial.sources:
                known = state.sources.get(source.name)
                if known is None:
                    state.sources[source.name] = Source(source.time, state.flow)
                    continue
                if source.heard:
                    known.heard = state.flow
                if source.time is not None and (known.time is None or source.time > known.time):
                    known.time = source.time
            verdicts += self._advance(folding)
        folding.finish()
        records[PARTITION_KEY] = state
        return verdicts

    @staticmethod
    def _tick(state: HealthPartition, timestamp: int) -> None:
        if state.newest >= 0 and timestamp > state.newest:
            state.flow += min(timestamp - state.newest, STEP_MS)
        state.newest = max(state.newest, timestamp)

    def _advance(self, folding: _Folding) -> list[SubjectVerdict]:
        """Move the watermark, and judge what it closes."""
        state = folding.state
        if state.flow < SILENCE_MS and not self._sources.issubset(state.sources):
            return []
        waited, silent = [], []
        for name, source in state.sources.items():
            if source.time is None:
                continue
            if state.flow - source.heard < SILENCE_MS:
                waited.append(source.time)
            else:
                silent.append((name, source.time))
        if not waited:
            return []
        least = min(waited)
        if state.watermark is not None and least <= state.watermark:
            return []
        state.watermark = least
        last = last_closed(least)
        if state.judged_through is not None and last <= state.judged_through:
            return []
        verdicts = self._judge(folding, last, silent)
        state.judged_through = last
        return verdicts

    def _judge(self, folding: _Folding, last: int, silent: list[tuple[str, int]]) -> list[SubjectVerdict]:
        """Judge the minutes up to `last`: each subject where its sums change."""
        state, done = folding.state, folding.state.judged_through
        due: list[tuple[int, SubjectKey]] = []
        for name in state.candidates:
            dimension, _, identifier = name.partition(":")
            if dimension not in self._rules.by_type:
                continue
            subject = SubjectKey("content" if dimension == "content" else "device", identifier)
            minutes = folding.subject(name).minutes()
            points = minutes | {minute + WINDOW_MINUTES for minute in minutes}
            due += [(point, subject) for point in points if point <= last and (done is None or point > done)]
        verdicts = []
        for minute, subject in sorted(due):
            name = f"{subject.type}:{subject.id}"
            record = folding.subject(name)
            failed, total = record.sums(minute - WINDOW_MINUTES + 1, minute)
            bound = (minute + 1) * MINUTE_MS + GRACE_MS
            left_out = sorted(source for source, time in silent if time < bound)
            level, verdict = self._rules.judge(
                subject,
                minute,
                failed,
                total,
                record.level,
                lambda first, final, subject=subject, record=record: folding.names(  # type: ignore[misc]
                    subject, record, first, final
                ),
                left_out,
            )
            if level != record.level:
                record.level = level
                folding.records.dirty.add(record_key(name))
            if verdict is not None:
                verdicts.append(verdict)
                folding.count("verdicts", 1)
                if left_out:
                    folding.count("left_out", 1)
        for name in list(state.candidates):
            record = folding.subject(name)
            least = self._least_failed.get(name.partition(":")[0])
            if record.level is None and (
                least is None or record.failed_since(last - WINDOW_MINUTES + 2) < least
            ):
                del state.candidates[name]
        return verdicts


class _Folding:
    """The folding of some messages into the records of a partition."""

    def __init__(self, records: Records, state: HealthPartition, least_failed: Mapping[str, int]) -> None:
        self.records = records
        self.state = state
        self._least_failed = least_failed
        self._seen: dict[int, list[str]] = {}

    def count(self, name: str, number: int) -> None:
        counts = self.state.counts
        counts[name] = counts.get(name, 0) + number

    def subject(self, name: str) -> SubjectHealth:
        value = self.records.get(record_key(name))
        if not isinstance(value, SubjectHealth):
            value = SubjectHealth()
        return value

    def names(
        self, subject: SubjectKey, record: SubjectHealth, first: int, last: int
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Error codes and regions of a subject's minutes."""
        if subject.type == "device":
            return names_between(record.recent_codes, first, last), names_between(
                record.recent_regions, first, last
            )
        codes: dict[str, int] = {}
        regions: dict[str, int] = {}
        for minute in record.series:
            if first <= minute <= last:
                found = self.records.get(title_minute_key(subject.id, minute))
                if isinstance(found, TitleMinute):
                    for sums, counts in ((codes, found.error_codes), (regions, found.regions)):
                        for name, count in counts.items():
                            sums[name] = sums.get(name, 0) + count
        return (
            {name: count for name, count in codes.items() if count},
            {name: count for name, count in regions.items() if count},
        )

    def take(self, partial: Partial, message: bytes) -> bool:
        """Add the rows of a part, unless they are there already; a chunk that comes again replaces what was there."""
        state, records = self.state, self.records
        unit = state.units.get(partial.unit)
        if unit is None:
            unit = state.units[partial.unit] = Unit(-1, 0)
        if partial.sequence < unit.sequence:
            return False
        if partial.sequence > unit.sequence:
            if partial.part:
                return False
            for number in range(unit.parts):
                records.discard(part_key(partial.unit, number))
            unit.sequence, unit.parts = partial.sequence, 0
        elif partial.final:
            if partial.part < unit.parts:
                return False
        elif not partial.part:
            for number in range(unit.parts):
                key = part_key(partial.unit, number)
                part = records.get(key)
                if isinstance(part, Part):
                    self._add(decode_partial(part.value).rows, -1)
                records.discard(key)
            unit.parts = 0
        elif partial.part != unit.parts:
            return False
        unit.parts = partial.part + 1
        if not partial.final:
            records[part_key(partial.unit, partial.part)] = Part(message)
        else:
            # Only that many were seen; there is nothing to take back.
            pass
        self._add(partial.rows, 1)
        return True

    def finish(self) -> None:
        """Write down who was seen in which hour, and forget some who were not seen for long."""
        state, records = self.state, self.records
        for hour, names in self._seen.items():
            for first in range(0, len(names), _SEEN_TOGETHER):
                number = state.seen.get(hour, 0)
                records[seen_key(hour, number)] = Seen(tuple(names[first : first + _SEEN_TOGETHER]))
                state.seen[hour] = number + 1
        self._seen = {}
        if state.judged_through is None or not state.seen:
            return
        hour = min(state.seen)
        if hour > state.judged_through // _MINUTES_AN_HOUR - KEPT_HOURS:
            return
        number = state.seen[hour] - 1
        key = seen_key(hour, number)
        seen = records.get(key)
        if isinstance(seen, Seen):
            for name in seen.subjects:
                self._forget(name, hour)
        records.discard(key)
        if number:
            state.seen[hour] = number
        else:
            del state.seen[hour]

    def _forget(self, name: str, hour: int) -> None:
        key = record_key(name)
        record = self.records.get(key)
        if isinstance(record, SubjectHealth) and record.hour == hour:
            self._drop_minutes(name, record.series)
            self.records.discard(key)
            self.state.candidates.pop(name, None)

    def _drop_minutes(self, name: str, minutes: Iterable[int]) -> None:
        dimension, _, identifier = name.partition(":")
        if dimension == "content":
            for minute in minutes:
                self.records.discard(title_minute_key(identifier, minute))

    def _add(self, rows: Mapping[str, Rows], sign: int) -> None:
        for dimension, columns in rows.items():
            if dimension == "device":
                self._add_devices(columns, sign)
            else:
                self._add_others(dimension, columns, sign)

    def _add_devices(self, rows: Rows, sign: int) -> None:
        records, judged = self.records, self.state.judged_through
        cache, dirty, load = records.cache, records.dirty, records.load
        past = -1 if judged is None else judged
        for device, minute, region, error, kind, user, number in zip(
            rows.ids, rows.minutes, rows.regions, rows.errors, rows.kinds, rows.extras, rows.counts, strict=True
        ):
            if minute <= past:
                if sign > 0:
                    self.count("too_late", number)
                continue
            key = b"sdevice:" + device.encode()
            record = cache.get(key)
            if record is None:
                record = load(key)
                if record is None:
                    record = cache[key] = SubjectHealth()
            assert isinstance(record, SubjectHealth)
            dirty.add(key)
            count = sign * number
            record.events += count
            if minute > record.newest:
                self._seen_in(record, "device:" + device, minute)
            if user is not None:
                users = record.extras
                if users.get(user, -1) < minute:
                    users[user] = minute
                    if len(users) > USERS:
                        del users[min(users, key=lambda name: (users[name], name))]
            if kind == ACCOUNT or region is None:
                continue
            record.playback += count
            by_minute = record.recent_regions.get(region)
            if by_minute is None:
                by_minute = record.recent_regions[region] = {}
            by_minute[minute] = by_minute.get(minute, 0) + count
            if error is not None:
                record.failed += count
                add(record.error_codes, error, count)
                by_minute = record.recent_codes.setdefault(error, {})
                by_minute[minute] = by_minute.get(minute, 0) + count
                self._suspect("device", device, record)

    def _add_others(self, dimension: str, rows: Rows, sign: int) -> None:
        records, judged = self.records, self.state.judged_through
        cache, dirty, load = records.cache, records.dirty, records.load
        past = -1 if judged is None else judged
        titles = dimension == "content"
        for identifier, minute, region, error, kind, extra, number in zip(
            rows.ids, rows.minutes, rows.regions, rows.errors, rows.kinds, rows.extras, rows.counts, strict=True
        ):
            if minute <= past:
                # A title's event is a device's too, and counted there.
                continue
            name = f"{dimension}:{identifier}"
            key = b"s" + name.encode()
            record = cache.get(key)
            if record is None:
                record = load(key)
                if record is None:
                    record = cache[key] = SubjectHealth()
            assert isinstance(record, SubjectHealth)
            dirty.add(key)
            count = sign * number
            if minute > record.newest:
                self._seen_in(record, name, minute)
            numbers = record.series.get(minute)
            if numbers is None:
                numbers = record.series[minute] = [0, 0, 0, 0]
            if kind == WATCHED_MS:
                record.watched_ms += count
                numbers[WATCHED] += count
                continue
            if kind == START_FAILED:
                record.failed_starts += count
                continue
            if kind == FLAGGED:
                if dimension == "rule":
                    record.events += count
                    numbers[TOTAL] += count
                    if region is not None:
                        add(record.regions, region, count)
                elif extra is not None:
                    add(record.rules, extra, count)
                continue
            record.events += count
            if kind == ACCOUNT:
                continue
            record.playback += count
            numbers[TOTAL] += count
            if extra is not None:
                add(record.extras, extra, count)
            if kind == PLAY:
                record.plays += count
                numbers[PLAYS] += count
            if error is not None:
                record.failed += count
                numbers[FAILED] += count
                add(record.error_codes, error, count)
            if titles and region is not None:
                add(record.regions, region, count)
                self._add_title_minute(identifier, minute, region, error, count)
                if error is not None:
                    self._suspect(dimension, identifier, record)

    def _add_title_minute(
        self, identifier: str, minute: int, region: str, error: str | None, count: int
    ) -> None:
        records = self.records
        key = title_minute_key(identifier, minute)
        found = records.cache.get(key)
        if found is None:
            found = records.load(key)
            if found is None:
                found = records.cache[key] = TitleMinute()
        assert isinstance(found, TitleMinute)
        records.dirty.add(key)
        found.regions[region] = found.regions.get(region, 0) + count
        if error is not None:
            found.error_codes[error] = found.error_codes.get(error, 0) + count

    def _seen_in(self, record: SubjectHealth, name: str, minute: int) -> None:
        """A subject has its newest event in this minute."""
        record.newest = minute
        hour = minute // _MINUTES_AN_HOUR
        if hour > record.hour:
            record.hour = hour
            self._seen.setdefault(hour, []).append(name)
        if self.state.judged_through is not None:
            dropped = record.prune(self.state.judged_through)
            if dropped:
                self._drop_minutes(name, dropped)

    def _suspect(self, dimension: str, identifier: str, record: SubjectHealth) -> None:
        """A subject failed: whether it may have a level from now on."""
        least = self._least_failed.get(dimension)
        if least is None or record.failed < least:
            return
        name = f"{dimension}:{identifier}"
        if name in self.state.candidates:
            return
        judged = self.state.judged_through
        first = 0 if judged is None else judged - WINDOW_MINUTES + 2
        if record.failed_since(first) >= least:
            self.state.candidates[name] = None


def _least_failed(rule: ErrorRate) -> int:
    """So many failures within an hour at least are needed for a level, or fewer."""
    return max(
        1, min(int(rule.high_over * rule.high_min_events), int(rule.medium_over * rule.medium_min_events))
    )
