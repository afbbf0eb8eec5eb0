"""A file's scored minutes: which windows become rows, and that the rows are those of the windows."""

from collections import defaultdict

import pytest

from pipeline.anomaly.features import FEATURE_NAMES
from pipeline.anomaly.scoring import NotEvaluated
from pipeline.evaluation.evaluator import Evaluator
from pipeline.events.decode import EventDecoder
from pipeline.judging.scored_minutes import MinuteCollector
from pipeline.lab.generator.casts import Stories
from pipeline.rules.ruleset import built_in
from pipeline.windows.entry import KINDS, Entry
from tests.oracle.features import features_of
from tests.pipeline.events.messages import encoded
from tests.pipeline.lab.generator.conftest import simulate


def collect(lines):
    return MinuteCollector(Evaluator(built_in(), "test")).collect(lines)


def at(second, number, **fields):
    minute, rest = divmod(second, 60)
    return encoded(event_id=f"e{number}", timestamp=f"2026-01-31T12:{minute:02d}:{rest:02d}Z", **fields)


def test_a_window_is_scored_once_a_minute_from_its_tenth_event_on():
    # Two events a minute: the tenth is the second of minute 4, and from then on the first of each minute counts.
    found = collect([at(30 * n, n) for n in range(16)])
    first = found.data().minutes[0]
    assert (found.data().minutes - first).tolist() == [0, 1, 2, 3]
    assert found.data().rows[:, 0].tolist() == [10, 11, 13, 15]
    assert found.left_out == {NotEvaluated.TOO_LITTLE_HISTORY: 9}


def test_duplicates_failed_events_and_late_ones_make_no_rows():
    lines = [at(30 * n, n) for n in range(10)]
    late = encoded(event_id="late", timestamp="2026-01-31T10:00:00Z")
    found = collect([*lines, lines[-1], b"{", late])
    assert len(found.users) == 1
    assert found.events == 11
    assert found.left_out[NotEvaluated.LATE] == 1


def test_the_points_of_the_rules_stand_beside_the_rows():
    lines = [at(20 * n, n, event_type="LOGIN_FAILED") for n in range(25)]
    assert collect(lines).rule_points[-1] > 0
    assert set(collect([at(30 * n, n) for n in range(14)]).rule_points) == {0}


def test_nothing_to_score_gives_no_rows():
    assert collect([]).data().rows.shape == (0, 30)


def test_rows_are_those_of_a_window_made_anew_from_the_events():
    values = [
        record.value
        for record in simulate(
            3_000, stories=Stories.QUIET, with_topic=False, broken_share=0, duplicate_share=0
        )
    ]
    found = collect(values)
    rows = {
        (user, minute): row
        for user, minute, row in zip(found.users, found.minutes, found.data().rows, strict=True)
    }
    # By brute force: every event of a user that is in order is tried, with all earlier arrivals of the last hour.
    decoder, arrived, titles = EventDecoder(), defaultdict(list), {}
    newest, scored, checked = {}, {}, 0
    for value in values:
        event = decoder.event(value)
        user, seen = event.user_id, arrived[event.user_id]
        in_order = event.time >= newest.get(user, 0)
        seen.append(event)
        newest[user] = max(newest.get(user, 0), event.time)
        inside = sorted(
            (one for one in seen if one.time > newest[user] - 3_600_000), key=lambda one: one.time
        )
        minute = event.time // 60_000
        if not in_order or len(inside) < 10 or minute <= scored.get(user, 0):
            continue
        scored[user] = minute
        entries = [
            Entry(
                one.time,
                number,
                0,
                one.region,
                one.network,
                one.device_id,
                KINDS[one.type] + bool(one.error_code),
                0 if one.content_id is None else titles.setdefault(one.content_id, len(titles) + 1),
            )
            for number, one in enumerate(inside)
        ]
        limit = {"standard": 2, "premium": 4, "vip": 4, "family": 6, None: 4, "gold": 4}.get(event.plan, 1)
        expected = features_of(entries, newest[user], limit)
        assert rows[user, minute].tolist() == pytest.approx(
            [expected[name] for name in FEATURE_NAMES], rel=1e-6
        )
        checked += 1
    assert checked == len(rows) > 500


@pytest.mark.parametrize("line", [b"", b"null", b'{"source":{},"payload":1}'])
def test_lines_that_cannot_be_judged_are_passed_over(line):
    assert collect([line]).events == 0
