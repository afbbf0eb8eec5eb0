"""The folding of partials into the records of one partition: each chunk once, each row where it belongs."""

from collections import defaultdict
from collections.abc import Mapping

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.forgetting import MINUTES_AN_HOUR
from pipeline.evaluation.health_state import HealthPartition, Part, Records, Unit, part_key, record_key
from pipeline.evaluation.minutes import WINDOW_MINUTES
from pipeline.evaluation.partials import Partial, Rows, decode_partial
from pipeline.evaluation.roll_ups import Dimension
from pipeline.evaluation.row_log import EVENTS, decode_rows, encode_rows, taken_back
from pipeline.evaluation.segments import seal, series_of
from pipeline.evaluation.subject_health import SubjectHealth

JUDGED = ("content", "device")
"""The dimensions with a subject rule: what their minutes hold may be asked for as evidence."""


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
        for dimension, rows in partial.rows.items():
            self._add(dimension, rows, anew=True)
        return True

    def _take_back(self, number: int, unit: Unit) -> None:
        """The last chunk of a unit comes again, and its records may be others."""
        for part_number in range(unit.parts):
            key = part_key(number, part_number)
            part = self._records.get(key)
            if isinstance(part, Part):
                for dimension, rows in decode_partial(part.value).rows.items():
                    self._add(dimension, rows, anew=False)
            self._records.discard(key)
        unit.parts = 0

    def _add(self, dimension: Dimension, rows: Rows, *, anew: bool) -> None:
        """Put the rows of each id behind what is there of it."""
        judged = self._state.judged_through
        counts, logs = rows.counts, rows.logs
        if not anew or (judged is not None and rows.first <= judged):
            counts, logs = self._looked_at(dimension, rows, anew=anew)
        records = self._records
        cache, dirty, load = records.cache, records.dirty, records.load
        prefix = f"s{dimension}:".encode()
        hour, kind = rows.last // MINUTES_AN_HOUR, DeviceHealth if dimension == "device" else SubjectHealth
        for identifier, count, log in zip(rows.ids, counts, logs, strict=True):
            if not count:
                continue
            key = prefix + identifier.encode()
            record = cache.get(key)
            if record is None:
                record = load(key)
                if record is None:
                    record = cache[key] = kind()
            assert isinstance(record, DeviceHealth | SubjectHealth)
            dirty.add(key)
            record.fresh += log
            record.count += count
            if hour > record.hour:
                record.hour = hour
                self.seen[hour].append(f"{dimension}:{identifier}")
            if record.is_full:
                self._settle(dimension, identifier, record)
        for place in rows.failed:
            self._suspect(dimension, rows.ids[place])

    def _looked_at(self, dimension: Dimension, rows: Rows, *, anew: bool) -> tuple[list[int], list[bytes]]:
        """The rows one by one: without those of judged minutes; to be taken back where they do not come anew."""
        judged = self._state.judged_through
        past = -1 if judged is None else judged
        counts, logs = [], []
        for count, log in zip(rows.counts, rows.logs, strict=True):
            found = decode_rows(count, log)
            kept = [row for row in found if row[0] > past]
            if dimension == "device":
                # Each event is a device's, and once.
                late = sum([row[5] for row in found if row[0] <= past and row[3] in EVENTS])
                self._state.count("too_late", late if anew else -late)
            if not anew:
                kept = taken_back(kept)
            counts.append(len(kept))
            logs.append(encode_rows(kept))
        return counts, logs

    def _settle(self, dimension: Dimension, identifier: str, record: DeviceHealth | SubjectHealth) -> None:
        """Sum the fresh rows of a subject."""
        judged = self._state.judged_through
        if dimension in JUDGED:
            seal(self._records, f"{dimension}:{identifier}", record, judged)
        else:
            record.settle(judged)

    def _suspect(self, dimension: Dimension, identifier: str) -> None:
        """A subject failed: whether it may have a level from now on."""
        least = self._least_failed.get(dimension)
        name = f"{dimension}:{identifier}"
        if least is None or name in self._state.candidates:
            return
        record = self._records.get(record_key(dimension, identifier))
        if not isinstance(record, DeviceHealth | SubjectHealth) or record.failed + record.count < least:
            return
        judged = self._state.judged_through
        if record.failed_since(0 if judged is None else judged - WINDOW_MINUTES + 2) < least:
            return
        self._state.candidates[name] = None
        if isinstance(record, DeviceHealth):
            # From now on it is asked for each minute.
            seal(self._records, name, record, judged)
            record.series = series_of(self._records.get, name, record)
