"""Instants: RFC 3339 with milliseconds, from year 1 to 9999 in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.events.instants import EARLIEST_MS, LATEST_MS, format_instant, parse_formatted, parse_instant

HOUR_MS = 3_600_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(EARLIEST_MS, LATEST_MS))
@example(EARLIEST_MS)
@example(LATEST_MS)
@example(-1)
@example(0)
def test_an_instant_comes_back_from_its_text(instant):
    assert parse_instant(format_instant(instant)) == instant
    assert parse_formatted(format_instant(instant)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31T20:15:00Z",
        "2026-01-31T20:15:00.000z",
        "2026-01-31T20:15:00.0000Z",
        "2026-01-31T20:15:0x.000Z",
    ],
)
def test_only_texts_of_ours_are_parsed_fast(text):
    with pytest.raises(ValueError, match=r"RFC 3339|is not|must be"):
        parse_formatted(text)


@given(st.integers(EARLIEST_MS, LATEST_MS))
def test_the_text_is_that_of_the_calendar(instant):
    moment = EPOCH + timedelta(milliseconds=instant)
    assert format_instant(instant) == f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


@given(
    st.integers(EARLIEST_MS // 1000 + 86_400, LATEST_MS // 1000 - 86_400),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.text("0123456789", max_size=12),
)
def test_an_offset_is_subtracted_and_digits_after_the_millisecond_are_cut_off(second, offset, digits):
    local = (EPOCH + timedelta(seconds=second)).astimezone(timezone(timedelta(minutes=offset)))
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset), 60)
    fraction = f".{digits}" if digits else ""
    text = f"{local.year:04d}-{local:%m-%dT%H:%M:%S}{fraction}{sign}{hours:02d}:{minutes:02d}"
    assert parse_instant(text) == second * 1000 + int(digits[:3].ljust(3, "0"))


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2026-01-31T20:15:00Z", "2026-01-31T20:15:00.000Z"),
        ("2026-01-31t20:15:00z", "2026-01-31T20:15:00.000Z"),
        ("2026-01-31T20:15:00-00:00", "2026-01-31T20:15:00.000Z"),
        ("2026-01-31T20:15:00+00:00", "2026-01-31T20:15:00.000Z"),
        ("2026-01-31T20:15:00.5Z", "2026-01-31T20:15:00.500Z"),
        ("2026-01-31T20:15:00.9999Z", "2026-01-31T20:15:00.999Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("2026-01-31T20:15:00.0000000000000000000001Z", "2026-01-31T20:15:00.000Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000Z"),
        ("2026-12-31T23:30:00-23:59", "2027-01-01T23:29:00.000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"),
        # The year that has to lie in 1..9999 is that of UTC.
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("0000-12-31T23:00:00-01:00", "0001-01-01T00:00:00.000Z"),
        ("0000-12-31T00:01:00-23:59", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_forms_that_are_allowed(text, normal):
    assert format_instant(parse_instant(text)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T20:15:00",
        "2026-01-31 20:15:00Z",
        "2026-01-31T20:15Z",
        "2026-01-31T20:15:60Z",
        "2016-12-31T23:59:60Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T20:60:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-31T20:15:00.Z",
        "2026-01-31T20:15:00,5Z",
        "2026-01-31T20:15:00+1:00",
        "2026-01-31T20:15:00+0100",
        "2026-01-31T20:15:00+01",
        "2026-01-31T20:15:00+24:00",
        "2026-01-31T20:15:00+01:60",
        "2026-01-31T20:15:00 Z",
        " 2026-01-31T20:15:00Z",
        "2026-01-31T20:15:00Z ",
        "2026-01-31T20:15:00Z\n",
        "2026-1-31T20:15:00Z",
        "20260131T201500Z",
        "02026-01-31T20:15:00Z",
        "+2026-01-31T20:15:00Z",
        "-2026-01-31T20:15:00Z",
        "2026-W05-6T20:15:00Z",
        "1769890500",
        # Digits that are not ASCII.
        "\uff12\uff10\uff12\uff16-01-31T20:15:00Z",
        "2026-01-31T20:15:00.\u096bZ",
        # Minus sign, not hyphen.
        "2026-01-31T20:15:00\u221201:00",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "0000-12-31T22:59:59.999-01:00",
        "0000-02-30T00:00:00-23:59",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_forms_that_are_refused(text):
    with pytest.raises(ValueError, match=r"must be|is not|has no|lies outside"):
        parse_instant(text)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (EARLIEST_MS - HOUR_MS, "0000-12-31T23:00:00.000Z"),
        (EARLIEST_MS - 1, "0000-12-31T23:59:59.999Z"),
        (LATEST_MS + 1, "10000-01-01T00:00:00.000Z"),
    ],
)
def test_a_bound_of_a_window_outside_the_years_has_a_text_too(instant, text):
    assert format_instant(instant) == text
