"""Two lots of verdicts: what is added, removed and changed, whatever their order."""

import gzip
import json
import random
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MissingError
from pipeline.history.diff import comparing
from pipeline.history.verdicts import lines_of, read_verdict


def verdict(offset: int, *rules: str, level: str = "HIGH", version: str = "v1") -> bytes:
    document = {
        "verdict_id": f"{offset}-{version}",
        "subject": {"type": "user", "id": f"u{offset % 3}"},
        "risk_level": level,
        "findings": [{"rule_id": rule} for rule in rules],
        "source": {"topic": "raw-events", "partition": 0, "offset": offset},
        "ruleset_version": version,
    }
    return json.dumps(document).encode()


def subject_verdict(title: str, minute: str, change: str) -> bytes:
    document = {
        "verdict_id": title + minute + change,
        "subject": {"type": "content", "id": title},
        "risk_level": "NONE",
        "findings": [],
        "source": None,
        "change": change,
        "minute_end": minute,
    }
    return json.dumps(document).encode()


def compare(first, second, examples=3):
    with comparing() as lots:
        lots.add("a", first, lambda _: True)
        lots.add("b", second, lambda _: True)
        return lots.compare(examples)


def test_each_difference_is_counted_once_by_rule_and_level() -> None:
    first = [verdict(1, "r.a"), verdict(2, "r.a", "r.b"), verdict(3, "r.a")]
    second = [
        verdict(4, "r.c", level="LOW"),
        verdict(1, "r.a"),
        verdict(2, "r.b", level="MEDIUM", version="v2"),
    ]
    found = compare(first, second)
    assert (found.first, found.second, found.same) == (3, 3, 1)
    assert (found.added, found.removed, found.changed) == (1, 1, 1)
    assert found.rules == {"r.a": {"removed": 2}, "r.b": {"changed": 1}, "r.c": {"added": 1}}
    assert found.levels == {("HIGH", "MEDIUM"): 1, ("HIGH", "NONE"): 1, ("NONE", "LOW"): 1}
    assert {kind: len(examples) for kind, examples in found.examples.items()} == {
        "added": 1,
        "removed": 1,
        "changed": 1,
    }
    assert not found.none


def test_verdicts_on_a_title_match_by_their_minute() -> None:
    one, other = subject_verdict("t", "01", "opened"), subject_verdict("t", "02", "closed")
    assert compare([one, other], [other, one]).none
    assert compare([one], [other]).added == 1


def test_of_two_verdicts_on_a_record_the_later_one_counts() -> None:
    assert compare([verdict(1, "r.a"), verdict(1, "r.b")], [verdict(1, "r.b")]).none


def test_what_is_no_verdict_is_a_difference() -> None:
    for value in (b"", b"[" * 100_000, b'{"verdict_id": 1}', b"\xff", verdict(1)[:-3]):
        assert read_verdict(value) is None
        found = compare([value], [])
        assert (found.unreadable, found.none) == (1, False)


@given(
    st.dictionaries(st.integers(0, 30), st.sampled_from("abc")),
    st.dictionaries(st.integers(0, 30), st.sampled_from("abc")),
    st.randoms(use_true_random=False),
)
def test_it_counts_what_dictionaries_count(before: dict, after: dict, dice: random.Random) -> None:
    lots = []
    for side in (before, after):
        values = [verdict(offset, rule) for offset, rule in side.items()]
        dice.shuffle(values)
        lots.append(values)
    found = compare(*lots, examples=0)
    both = before.keys() & after.keys()
    assert found.same == sum(before[key] == after[key] for key in both)
    assert found.changed == len(both) - found.same
    assert (found.removed, found.added) == (len(before.keys() - both), len(after.keys() - both))
    assert found.none == (before == after)


@pytest.mark.parametrize("name", ["some.jsonl", "some.jsonl.gz", "some.jsonl.zst"])
def test_lines_of_a_file_that_may_be_compressed_in_several_pieces(tmp_path: Path, name: str) -> None:
    pieces = [b"one\ntwo\n", b"three\n" * 10_000]
    if name.endswith("gz"):
        pieces = [gzip.compress(piece) for piece in pieces]
    elif name.endswith("zst"):
        pieces = [zstandard.ZstdCompressor().compress(piece) for piece in pieces]
    (tmp_path / name).write_bytes(b"".join(pieces))
    found = list(lines_of(tmp_path / name))
    assert found[:2] == [b"one", b"two"]
    assert len(found) == 10_002


@pytest.mark.parametrize("name", ["none.jsonl", "damaged.gz", "damaged.zst"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    if name.startswith("damaged"):
        whole = gzip.compress(b"x\n" * 999) if name.endswith("gz") else zstandard.compress(b"x\n" * 999)
        (tmp_path / name).write_bytes(whole[:4] + b"\xff\xff" + whole[6:-3])
    with pytest.raises(MissingError, match=name):
        list(lines_of(tmp_path / name))
