"""What a replay takes from the journal."""

import pytest

from pipeline.errors import MissingError
from pipeline.evaluation.control import encode_control
from pipeline.history.reading import Bounds
from pipeline.history.survey import Line, PartitionRange, _require_unread, needed, read_line
from pipeline.settings.schema import load_settings


def place(warm: int, end: int) -> PartitionRange:
    return PartitionRange(0, warm, warm, end, end, 0, 0, 0, merged=True, whole=True)


def test_only_the_last_rule_set_and_model_before_the_warm_up_are_followed() -> None:
    lines = [
        Line(0, "ruleset", "v1", None),
        Line(0, "model", "m1", None),
        Line(3, "request", "r1", None),
        Line(5, "ruleset", "v2", None),
        Line(6, "rekeyed", "4", None),
        Line(10, "ruleset", "v3", None),
        Line(10, "rekeyed", "8", None),
        Line(10, "ruleset", "v4", None),
        Line(20, "model", "m2", None),
        Line(21, "request", "r2", None),
    ]
    assert [line.id for line in needed(lines, place(10, 20))] == ["m1", "r1", "v2", "v3", "8", "v4", "m2"]
    assert needed(lines, place(0, 21)) == lines
    assert needed([], place(0, 21)) == []


def test_a_line_comes_back_from_its_bytes() -> None:
    value = encode_control(3, 17, "rekeyed", "99", "2026-01-01T00:00:00.000Z")
    assert read_line(value) == (3, Line(17, "rekeyed", "99", "2026-01-01T00:00:00.000Z"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[" * 100_000,
        encode_control(3, 17, "rekeyed", "many", None),
        encode_control(3, 17, "ruleset", "v1", "yesterday"),
        encode_control(3, 17, "ruleset", "v1", None).replace(b"applied/1", b"applied/2"),
        encode_control(3, 17, "ruleset", "v1", None).replace(b"ruleset", b"weather"),
    ],
)
def test_what_is_no_line_is_passed_over(value: bytes | None) -> None:
    assert read_line(value) is None


def test_a_replay_does_not_go_on_behind_records_that_were_deleted_meanwhile() -> None:
    settings, ranges = load_settings(environ={}), [place(10, 20)]
    _require_unread(settings, Bounds({0: 10}, {0: 30}, {}), ranges)
    with pytest.raises(MissingError, match="raw-events/0 keeps nothing from before offset 11"):
        _require_unread(settings, Bounds({0: 11}, {0: 30}, {}), ranges)
