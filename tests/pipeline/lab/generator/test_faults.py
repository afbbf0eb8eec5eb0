"""Repetitions are equal after normalisation, unless they say that they conflict."""

import random
from collections import Counter

from pipeline.events.decode import EventDecoder
from pipeline.lab.generator.faults import late_copy, repeat
from pipeline.lab.generator.world import HOUR_MS
from tests.pipeline.lab.generator.conftest import simulate


def test_a_repetition_is_what_it_says():
    rng = random.Random(5)
    decoder = EventDecoder()
    seen = Counter()
    for record in simulate(3_000, broken_share=0, late_share=0, duplicate_share=0):
        again, fault = repeat(record.value.decode(), rng)
        one, other = decoder.event(record.value), decoder.event(again.encode())
        seen[fault.kind] += 1
        assert one.event_id == other.event_id
        if fault.kind == "conflicting_duplicate":
            assert one != other
            assert fault.carries_opt_out == one.signals_opt_out
        else:
            assert one == other
            assert (again.encode() == record.value) == (fault.kind == "same_bytes")
    assert min(seen[kind] for kind in ("same_bytes", "reformatted", "conflicting_duplicate")) > 200


def test_a_late_copy_is_the_same_event_an_hour_before():
    decoder = EventDecoder()
    record = simulate(1)[0]
    late, late_ms = late_copy(record.value.decode(), "new", record.event_ms, random.Random(1))
    one, other = decoder.event(record.value), decoder.event(late.encode())
    assert other.event_id == "new"
    assert other.time == late_ms < record.event_ms - HOUR_MS
    assert (one.device_id, one.region, one.has_consent) == (other.device_id, other.region, other.has_consent)
