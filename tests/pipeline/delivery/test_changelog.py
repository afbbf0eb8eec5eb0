"""Commits in a changelog are put together again, wherever a reader's chunks and a writer's death cut them."""

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.changelog import (
    COMPLETE,
    WATERMARKS,
    Assembler,
    Entry,
    Headers,
    decode_watermarks,
    encode_watermarks,
    marks,
)


class Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers = ()


class Log:
    """A changelog as its writers fill it; each value is unique, so that an old one is recognised."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.state: dict[bytes, bytes | None] = {}
        self.owed: set[bytes] = set()
        self.complete = 0
        self._number = 0

    def commit(self, keys: Iterable[int], *, marked: bool, cut: int | None) -> None:
        """A commit of some keys; `cut`: its writer dies after so many records, and another one takes over."""
        self._number += 1
        changed = {b"k%d" % key: b"%d" % self._number for key in keys}
        # What the writer before left incomplete is written anew, with the values that count.
        anew = {key: self.state.get(key) for key in self.owed}
        entries: list[Entry] = [*(anew | changed).items(), (WATERMARKS, b"%d" % self._number)]
        headers = list(marks(self._number, len(entries))) if marked else [()] * len(entries)
        if marked and cut is not None and cut < len(entries):
            self._append(entries[:cut], headers)
            self.owed |= {key for key, _ in entries[:cut]}
        else:
            self._append(entries, headers)
            self.state.update(entries)
            self.owed = set()
            self.complete = len(self.records)

    def _append(self, entries: Iterable[Entry], headers: Iterable[Headers]) -> None:
        for (key, value), marked in zip(entries, headers, strict=False):
            self.records.append(Record(len(self.records), key, value, marked))

    def compacted(self, until: int) -> list[Record]:
        """As compaction leaves it: before an offset only the newest record of each key.

        It does not get as far as a commit that nobody has written anew yet (`min.compaction.lag.ms`).
        """
        if self.owed:
            until = min(until, self.complete)
        newest = {record.key: record.offset for record in self.records[:until]}
        return [r for r in self.records if r.offset >= until or newest[r.key] == r.offset]


def applied(records: list[Record], sizes: Iterable[int]) -> tuple[dict[bytes, bytes | None], set[bytes]]:
    """The state after reading in chunks of these sizes, and the keys that were dropped."""
    assembler, state = Assembler(), {}
    rest, steps = records, iter(sizes)
    while rest:
        size = next(steps, len(rest))
        found = assembler.add(rest[:size])
        assert found.offset <= rest[:size][-1].offset
        if assembler.first is not None:
            assert found.offset < assembler.first
        state.update(found.entries)
        rest = rest[size:]
    return state, assembler.forget()


COMMITS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 6), min_size=1, max_size=5), st.booleans(), st.none() | st.integers(1, 6)
    ),
    max_size=12,
)


@given(COMMITS, st.lists(st.integers(1, 4)), st.integers(0, 60))
def test_what_is_applied_is_what_was_committed(commits, sizes: list[int], compacted_until: int) -> None:
    log = Log()
    for keys, marked, cut in commits:
        log.commit(keys, marked=marked, cut=cut)
    records = log.compacted(compacted_until)
    state, dropped = applied(records, sizes)
    assert state == log.state
    assert dropped <= log.owed


@given(COMMITS, st.integers(0, 60))
def test_reading_on_from_the_offset_that_is_named_misses_nothing(commits, where: int) -> None:
    log = Log()
    for keys, marked, cut in commits:
        log.commit(keys, marked=marked, cut=cut)
    first, second = log.records[:where], log.records
    state: dict[bytes, bytes | None] = {}
    if first:
        found = Assembler().add(first)
        state.update(found.entries)
        second = [record for record in log.records if record.offset > found.offset]
    again, _ = applied(second, [])
    assert state | again == log.state


def test_an_incomplete_commit_is_held_back_and_its_keys_are_named() -> None:
    assembler = Assembler()
    parts = [Record(5 + n, b"k%d" % n, b"v", headers) for n, headers in enumerate(marks(9, 3))]
    found = assembler.add([Record(4, b"a", b"1"), *parts[:2]])
    assert found == ([(b"a", b"1")], 4)
    assert assembler.waiting == 2
    assert assembler.forget() == {b"k0", b"k1"}
    assert assembler.waiting == 0


def test_the_last_record_of_a_marked_commit_says_so() -> None:
    assert [COMPLETE in dict(headers) for headers in marks(1, 4)] == [False, False, False, True]


def test_watermarks_come_back_and_equal_ones_have_equal_bytes() -> None:
    offsets = {"b": 2, "a": 0}
    assert decode_watermarks(encode_watermarks(offsets)) == offsets
    assert encode_watermarks(offsets) == encode_watermarks(dict(reversed(offsets.items())))
    assert decode_watermarks(None) == {}


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"v":2,"next":{}}', b'{"v":1,"next":[]}', b"\xff"])
def test_bytes_that_are_no_watermarks_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="watermarks"):
        decode_watermarks(value)
