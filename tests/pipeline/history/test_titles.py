"""Titles and devices in a replay: rows of several sources are judged as their events are in a file."""

from pathlib import Path

from pipeline.assembly import build_evaluator
from pipeline.evaluation.batch import PartitionState, evaluate_batch
from pipeline.evaluation.source import PlainRecord
from pipeline.history.rule_sets import KnownRuleSets
from pipeline.history.titles import RowsFile, judge_rows, read_rows
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import built_in
from pipeline.settings.schema import Settings
from pipeline.titles.levels import SubjectRules
from tests.pipeline.events.messages import encoded

MINUTE = 60_000
START = 1_767_225_600_000


def stamp(minute: float) -> str:
    return f"2026-01-01T{int(minute) // 60:02d}:{int(minute) % 60:02d}:{int(minute * 60) % 60:02d}Z"


def rows_of(path: Path, minutes: list[float], *, failing: bool, slice_size: int = 7) -> Path:
    """The rows of a source with an event of one title at each of these minutes."""
    evaluator, users, state = build_evaluator(Settings()), AllUsers(), PartitionState()
    records = []
    for number, minute in enumerate(minutes):
        value = encoded(
            event_id=f"{path.name}-{number}",
            user_id=f"{path.name}-{number}",
            device_id=f"tv-{path.name}-{number}",
            event_type="ERROR" if failing else "PLAY",
            content_id="film",
            timestamp=stamp(minute),
        )
        records.append(PlainRecord("raw-events", 0, number, START + int(minute * MINUTE), None, value))
    with RowsFile(path) as rows:
        for start in range(0, len(records), slice_size):
            some = records[start : start + slice_size]
            evaluate_batch(evaluator, some, users, state, "raw-events", rows.note)
            rows.after(state.times.get("raw-events"), evaluator.ruleset.version)
    return path


def judged(*paths: Path) -> list[tuple[str, str]]:
    rule_sets = KnownRuleSets(built_in(), ())
    verdicts = judge_rows(map(read_rows, paths), rule_sets, SubjectRules)
    return [
        (verdict.minute_end[11:16], verdict.change) for verdict in verdicts if verdict.subject.id == "film"
    ]


def times(first: float, last: float, count: int) -> list[float]:
    return [first + (last - first) * number / (count - 1) for number in range(count)]


def test_a_level_opens_at_the_minute_that_all_sources_have_passed(tmp_path: Path) -> None:
    failing = rows_of(tmp_path / "a", times(0, 10, 60), failing=True)
    behind = rows_of(tmp_path / "b", times(0, 5, 60), failing=False)
    # 20 events are there at the end of the third minute, half of all failed.
    assert judged(failing, behind) == [("00:02", "opened")]
    assert judged(failing) == [("00:04", "opened")]


def test_an_ended_source_holds_up_the_watermark_for_an_hour_at_most(tmp_path: Path) -> None:
    ended = rows_of(tmp_path / "a", times(0, 1, 10), failing=False)
    failing = rows_of(tmp_path / "b", times(0, 50, 100), failing=True)
    assert judged(ended, failing) == []
    longer = rows_of(tmp_path / "c", times(0, 70, 140), failing=True)
    assert [change for _, change in judged(ended, longer)] == ["opened"]


def test_a_source_without_events_takes_no_part(tmp_path: Path) -> None:
    empty = rows_of(tmp_path / "a", [], failing=False)
    failing = rows_of(tmp_path / "b", times(0, 10, 60), failing=True)
    assert judged(empty, failing) == judged(failing)


def test_the_size_of_slices_does_not_matter(tmp_path: Path) -> None:
    found = [
        judged(rows_of(tmp_path / f"s{size}", times(0, 30, 120), failing=True, slice_size=size))
        for size in (1, 7, 500)
    ]
    assert found[0] == found[1] == found[2]
