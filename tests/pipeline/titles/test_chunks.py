"""Chunks as messages: their sizes, and what is none."""

import pytest

from pipeline.titles.chunks import Chunk, ChunkError, SourceTime, chunk_messages, decode_chunk
from pipeline.titles.notes import SubjectRows
from pipeline.titles.rows import ROW_BYTES, pack_row
from tests.pipeline.titles.units import place

SOURCES = [SourceTime("raw-events/3", 5, True)]


def messages_of(subjects, partitions):
    chunk = Chunk(3, 1, 0, 0, 40_000, subjects, SOURCES)
    targets = [place(one.subject.encode(), partitions) for one in subjects]
    return list(chunk_messages(chunk, targets, partitions))


def test_a_large_chunk_comes_in_messages_that_brokers_take():
    row = pack_row(1, 1, 1, 0, 0, 0, 0)
    many = [SubjectRows(f"device:{n:0>250}", row, (), (("users", "\u20ac" * 250, 1),)) for n in range(3_000)]
    rows = b"".join(pack_row(minute, 1, 1, 1, 0, 0, 0) for minute in range(40_000))
    failures = tuple((n, f"{n:\u20ac>100}", "US-CA", 1) for n in range(4_000))
    names = tuple(("regions", f"{n:\u20ac>100}", 1) for n in range(5_000))
    messages = messages_of([*many, SubjectRows("content:one", rows, failures, names)], 2)
    assert max(len(value) for _, value in messages) < 1_000_000
    found = []
    for target in range(2):
        parts = [decode_chunk(value) for to, value in messages if to == target]
        assert [part.part for part in parts] == list(range(len(parts)))
        assert len(parts) > 1
        assert [part.sources for part in parts] == [None] * (len(parts) - 1) + [SOURCES]
        found += [subject for part in parts for subject in part.subjects]
    assert len([one for one in found if one.subject.startswith("device:")]) == 3_000
    ones = [one for one in found if one.subject == "content:one"]
    assert b"".join(one.rows for one in ones) == rows
    assert tuple(failure for one in ones for failure in one.failures) == failures
    assert tuple(name for one in ones for name in one.names) == names


def test_every_partition_gets_a_message():
    messages = messages_of([], 3)
    assert [(target, decode_chunk(value).subjects) for target, value in messages] == [
        (0, []),
        (1, []),
        (2, []),
    ]


@pytest.mark.parametrize("value", [None, b"", b"{}", b"H\x01\x90", b"H\x02\x90", b"H\x02\xc1"])
def test_what_is_no_chunk_is_refused(value):
    with pytest.raises(ChunkError, match="which this version cannot read"):
        decode_chunk(value)


def test_rows_that_are_cut_off_are_refused():
    ((_, value),) = messages_of([SubjectRows("content:one", b"0" * (ROW_BYTES - 1))], 1)
    with pytest.raises(ChunkError):
        decode_chunk(value)
