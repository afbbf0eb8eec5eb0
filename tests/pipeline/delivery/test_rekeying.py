"""A forwarded record keeps its bytes, and headers say where it was first written."""

import logging
from typing import NamedTuple

import pytest

from pipeline.delivery.metrics import Metrics
from pipeline.delivery.rekeying import (
    OFFSET,
    PARTITION,
    TIMESTAMP,
    TOPIC,
    Misplaced,
    Origin,
    forwarded,
    origin_of,
)


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


RECORD = Record("raw", 3, 70, 1_000, None, b"value", (("trace", b"x"),))


def moved(record: Record, partition: int) -> Record:
    output = forwarded(record, "rekeyed", partition)
    assert output.partition is not None
    return Record(
        output.topic, output.partition, 5, 9_999, output.key, output.value, tuple(output.headers or ())
    )


def test_a_record_that_was_not_forwarded_is_its_own_origin() -> None:
    assert origin_of(RECORD) == Origin("raw", 3, 70, 1_000)


def test_key_value_and_foreign_headers_stay() -> None:
    there = moved(RECORD, 1)
    assert (there.topic, there.partition, there.key, there.value) == ("rekeyed", 1, None, b"value")
    assert there.headers[0] == ("trace", b"x")


def test_the_origin_is_found_again_also_after_two_moves() -> None:
    assert origin_of(moved(RECORD, 1)) == origin_of(moved(moved(RECORD, 1), 2)) == origin_of(RECORD)
    names = [name for name, _ in moved(moved(RECORD, 1), 2).headers]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "headers",
    [
        ((TOPIC, b"raw"),),
        ((TOPIC, b"raw"), (PARTITION, b"x"), (OFFSET, b"1"), (TIMESTAMP, b"1")),
        ((TOPIC, b"\xff"), (PARTITION, b"1"), (OFFSET, b"1"), (TIMESTAMP, b"1")),
    ],
)
def test_headers_that_are_not_ours_do_not_count(headers: tuple[tuple[str, bytes], ...]) -> None:
    assert origin_of(RECORD._replace(headers=headers)) == Origin("raw", 3, 70, 1_000)


def test_producers_are_told_at_once_and_then_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    misplaced = Misplaced(metrics, "user id")
    with caplog.at_level(logging.WARNING):
        for _ in range(1_000):
            misplaced.count("raw", 1)
        misplaced.count("other", 2)
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(" records")[0] for text in told] == ["raw: 1", "raw: 11", "raw: 111", "other: 2"]
    assert all("user id" in text and "murmur2" in text for text in told)
    assert metrics.rekeyed == {"raw": 1_000, "other": 2}
