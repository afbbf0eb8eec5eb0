"""The folding of partials into the records of one partition: each chunk once, each row where it belongs."""

from collections import defaultdict
from collections.abc import Mapping

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.forgetting import MINUTES_AN_HOUR
from pipeline.evaluation.health_state import (
    HealthPartition,
    Part,
    Records,
    Unit,
    part_key,
    title_minute_key,
)
from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.evaluation.partials import Partial, Rows, decode_partial
from pipeline.evaluation.roll_ups import ACCOUNT, FLAGGED, PLAY, START_FAILED, Dimension
from pipeline.evaluation.roll_ups import WATCHED as WATCHED_MS
from pipeline.evaluation.subject_health import (
    FAILED,
    MINUTE_NAMES,
    PLAYS,
    TOTAL,
    WATCHED,
    SubjectHealth,
    TitleMinute,
    add,
)


class Folding:
    """Folds chunks.

    Args:
        records: of the partition.
        state: what is kept of it beside them.
        least_failed: by dimension how many failures within an hour a level takes at least.
    """

    def __init__(self, records: Records, state: HealthPartition, least_failed: Mapping[str, int]) -> None:
        self._records = records
        self._state = state
        self._least_failed = least_failed
        self.seen: defaultdict[int, list[str]] = defaultdict(list)
        """Names of subjects by the hour in which they had their first event of it."""

    def take(self, partial: Partial, message: bytes) -> bool:
        """Add the rows of a part, unless they are there already; a chunk that comes again replaces what was there.

        Args:
            partial: the part.
            message: its bytes.

        Returns:
            whether it was a new one.
        """
        state, records = self._state, self._records
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
        elif not partial.final and not partial.part:
            self._take_back(partial.unit, unit)
        if partial.part != unit.parts:
            return False
        unit.parts = partial.part + 1
        if not partial.final:
            records[part_key(partial.unit, partial.part)] = Part(message)
        self._add(partial.rows, 1)
        return True

    def _take_back(self, number: int, unit: Unit) -> None:
        """The last chunk of a unit comes again, and its records may be others."""
        for part_number in range(unit.parts):
            key = part_key(number, part_number)
            part = self._records.get(key)
            if isinstance(part, Part):
                self._add(decode_partial(part.value).rows, -1)
            self._records.discard(key)
        unit.parts = 0

    def _add(self, rows: Mapping[Dimension, Rows], sign: int) -> None:
        for dimension, columns in rows.items():
            if dimension == "device":
                self._add_devices(columns, sign)
            else:
                self._add_others(dimension, columns, sign)

    def _add_devices(self, rows: Rows, sign: int) -> None:
        records, judged = self._records, self._state.judged_through
        cache, dirty, load = records.cache, records.dirty, records.load
        past = -1 if judged is None else judged
        for device, minute, region, error, kind, user, number in zip(
            rows.ids,
            rows.minutes,
            rows.regions,
            rows.errors,
            rows.kinds,
            rows.extras,
            rows.counts,
            strict=True,
        ):
            if minute <= past:
                self._state.count("too_late", sign * number)
                continue
            key = b"sdevice:" + device.encode()
            record = cache.get(key)
            if record is None:
                record = load(key)
                if record is None:
                    record = cache[key] = DeviceHealth()
            assert isinstance(record, DeviceHealth)
            dirty.add(key)
            count = sign * number
            record.events += count
            if minute > record.newest:
                record.newest = minute
                hour = minute // MINUTES_AN_HOUR
                if hour > record.hour:
                    record.hour = hour
                    self.seen[hour].append("device:" + device)
            if user is not None:
                record.seen_with(user, minute)
            if kind != ACCOUNT and region is not None:
                record.add(minute, region, error, count, judged)
                if error is not None:
                    self._suspect("device", device, record)

    def _add_others(self, dimension: str, rows: Rows, sign: int) -> None:  # noqa: C901, PLR0912 - as above
        records, judged = self._records, self._state.judged_through
        cache, dirty, load = records.cache, records.dirty, records.load
        past = -1 if judged is None else judged
        prefix = f"s{dimension}:".encode()
        for identifier, minute, region, error, kind, extra, number in zip(
            rows.ids,
            rows.minutes,
            rows.regions,
            rows.errors,
            rows.kinds,
            rows.extras,
            rows.counts,
            strict=True,
        ):
            if minute <= past:
                # A title's event is a device's too, and counted there.
                continue
            key = prefix + identifier.encode()
            record = cache.get(key)
            if record is None:
                record = load(key)
                if record is None:
                    record = cache[key] = SubjectHealth()
            assert isinstance(record, SubjectHealth)
            dirty.add(key)
            count = sign * number
            if minute > record.newest:
                self._goes_on(dimension, identifier, record, minute)
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
                self._add_flagged(dimension, record, numbers, region, extra, count)
                continue
            record.events += count
            if kind == ACCOUNT:
                continue
            record.playback += count
            numbers[TOTAL] += count
            if extra is not None:
                add(record.device_types, extra, count)
            if kind == PLAY:
                record.plays += count
                numbers[PLAYS] += count
            if error is not None:
                record.failed += count
                numbers[FAILED] += count
                add(record.error_codes, error, count)
            if dimension == "content" and region is not None:
                add(record.regions, region, count)
                self._add_title_minute(identifier, minute, region, error, count)
                if error is not None:
                    self._suspect(dimension, identifier, record)

    @staticmethod
    def _add_flagged(
        dimension: str,
        record: SubjectHealth,
        numbers: list[int],
        region: str | None,
        rule_id: str | None,
        count: int,
    ) -> None:
        """Findings: of a rule by region, of a region by rule."""
        if dimension != "rule":
            if rule_id is not None:
                add(record.rules, rule_id, count)
            return
        record.events += count
        numbers[TOTAL] += count
        if region is not None:
            add(record.regions, region, count)

    def _add_title_minute(
        self, identifier: str, minute: int, region: str, error: str | None, count: int
    ) -> None:
        records = self._records
        key = title_minute_key(identifier, minute)
        found = records.cache.get(key)
        if found is None:
            found = records.load(key)
            if found is None:
                found = records.cache[key] = TitleMinute()
        assert isinstance(found, TitleMinute)
        records.dirty.add(key)
        add(found.regions, region, count, MINUTE_NAMES)
        if error is not None:
            add(found.error_codes, error, count, MINUTE_NAMES)

    def _goes_on(self, dimension: str, identifier: str, record: SubjectHealth, minute: int) -> None:
        """A subject has its newest event in this minute."""
        record.newest = minute
        hour = minute // MINUTES_AN_HOUR
        if hour > record.hour:
            record.hour = hour
            self.seen[hour].append(f"{dimension}:{identifier}")
        judged = self._state.judged_through
        if judged is None:
            return
        for old in record.prune(judged):
            if dimension == "content":
                self._records.discard(title_minute_key(identifier, old))

    def _suspect(self, dimension: str, identifier: str, record: SubjectHealth | DeviceHealth) -> None:
        """A subject failed: whether it may have a level from now on."""
        least = self._least_failed.get(dimension)
        if least is None or record.failed < least:
            return
        name = f"{dimension}:{identifier}"
        if name in self._state.candidates:
            return
        judged = self._state.judged_through
        if record.failed_since(0 if judged is None else judged - WINDOW_MINUTES + 2) >= least:
            self._state.candidates[name] = None
