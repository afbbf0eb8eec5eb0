"""Figures: rows that are summed late, names that are bounded."""

import random
from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from pipeline.titles.figures import MINUTES_BYTES, MINUTES_NAMES, NAMES, OTHER, USERS, Figures, add_first
from pipeline.titles.rows import (
    FAILED,
    ROW_BYTES,
    TOTAL,
    by_minute,
    pack_row,
    rows_after,
    sum_rows,
    unpack_rows,
)

ROWS = st.lists(st.tuples(st.integers(0, 150), *[st.integers(0, 3)] * 5, st.integers(0, 2**40)), max_size=300)


def packed(rows):
    return b"".join(pack_row(*row) for row in rows)


@given(ROWS, st.integers(-1, 160))
def test_rows_are_summed_by_minute(rows, minute):
    sums = defaultdict(lambda: [0] * 6)
    for at, *numbers in rows:
        sums[at] = [known + number for known, number in zip(sums[at], numbers, strict=True)]
    assert by_minute(packed(rows)) == dict(sums)
    assert list(by_minute(packed(rows))) == sorted(sums)
    assert [row[0] for row in unpack_rows(sum_rows(packed(rows)))] == sorted(sums)
    assert rows_after(packed(rows), minute) == packed([row for row in rows if row[0] > minute])


@given(ROWS, st.none() | st.integers(0, 200))
def test_summing_changes_no_total_and_no_minute_that_a_window_may_hold(rows, judged):
    figures = Figures()
    for row in rows:
        figures.add_rows(packed([row]), judged)
    figures.settle(judged)
    assert figures.totals() == [sum(row[place + 1] for row in rows) for place in range(6)]
    first = 0 if judged is None else judged - 59
    kept = [row for row in rows if row[0] >= first]
    expected = sum(row[FAILED + 1] for row in kept), sum(row[TOTAL + 1] for row in kept)
    assert figures.failed_and_total(first, 1_000) == expected
    assert set(by_minute(figures.rows)) == {row[0] for row in kept}


def test_rows_are_summed_when_they_are_many():
    figures = Figures()
    for number in range(10_000):
        figures.add_rows(packed([(number % 80, 1, 1, 0, 0, 0, 0)]), None)
        assert len(figures.rows) <= 160 * ROW_BYTES
    assert figures.totals()[TOTAL] == 10_000


@given(st.permutations([f"E{number:03}" for number in range(NAMES + 6)] * 2))
def test_which_names_of_a_minute_are_kept_does_not_depend_on_their_order(names):
    counts = {}
    for name in names:
        add_first(counts, name, 1)
    assert counts == {f"E{number:03}": 2 for number in range(NAMES)} | {OTHER: 12}


def test_names_of_a_busy_title_do_not_depend_on_the_order_of_minutes():
    failures = [(minute, f"E{n % 10}", f"R{n}", 1) for minute in range(75) for n in range(40)]
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(failures)
        figures = Figures()
        figures.add_failures(failures, by_minute=True)
        found.append(figures.failure_names(0, 74))
    assert found[0] == found[1] == found[2]
    assert found[0][0] == {f"E{n}": 300 for n in range(10)}
    assert len(found[0][1]) == 40


def test_the_bytes_of_all_names_are_bounded():
    figures = Figures()
    for minute in range(100):
        codes = [f"{number:02}" + "\N{GRINNING FACE}" * 98 for number in range(50)]
        figures.add_failures([(minute, code, "DE", 1) for code in codes], by_minute=True)
    names = [name for minute in figures.failures.values() for counts in minute for name in counts]
    assert sum(len(name.encode()) for name in names) < max(MINUTES_BYTES, MINUTES_NAMES * 400) + 1_000
    codes, regions = figures.failure_names(0, 99)
    assert sum(codes.values()) == sum(regions.values()) == figures.failed_since(0) == figures.failed == 5_000
    assert len(figures.names["error_codes"]) == 50


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 100)), max_size=200))
def test_the_newest_users_are_kept(seen):
    figures = Figures()
    for user, minute in sorted(seen, key=lambda one: one[1]):
        figures.add_names([("users", f"u{user}", minute)])
    newest = Counter()
    for user, minute in seen:
        newest[f"u{user}"] = max(newest[f"u{user}"], minute)
    kept = figures.names.get("users", {})
    assert len(kept) == min(USERS, len(newest))
    assert all(newest[user] == minute for user, minute in kept.items())
