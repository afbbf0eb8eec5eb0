"""A forwarded record keeps its bytes, and its headers say where it was first written."""

import logging
from typing import NamedTuple

import pytest

from pipeline.delivery.flow.rekeying import (
    OFFSET,
    PARTITION,
    PROOF,
    TIMESTAMP,
    TOPIC,
    Misplaced,
    Origin,
    Origins,
)
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.state.outputs import MAX_OUTPUT_BYTES


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


RECORD = Record("raw", 3, 70, 1_000, None, b"value", (("trace", b"x"),))


METRICS = Metrics()
OURS = Origins(b"k" * 32, METRICS)
STRANGERS = Origins(b"x" * 32, Metrics())


def moved(record: Record, partition: int, origins: Origins = OURS) -> Record:
    output = origins.forward(record, origins.of(record), "rekeyed", partition)
    assert output.partition is not None
    return Record(
        output.topic, output.partition, 5, 9_999, output.key, output.value, tuple(output.headers or ())
    )


def own_place(record: Record) -> Origin:
    return Origin(record.topic, record.partition, record.offset, record.timestamp)


def test_a_record_that_was_not_forwarded_is_its_own_origin() -> None:
    assert OURS.of(RECORD) == Origin("raw", 3, 70, 1_000)


def test_key_value_and_foreign_headers_stay() -> None:
    there = moved(RECORD, 1)
    assert (there.topic, there.partition, there.key, there.value) == ("rekeyed", 1, None, b"value")
    assert there.headers[0] == ("trace", b"x")


def test_the_origin_is_found_again_also_after_two_moves_and_by_another_worker() -> None:
    another = Origins(b"k" * 32, Metrics())
    assert another.of(moved(RECORD, 1)) == another.of(moved(moved(RECORD, 1), 2)) == own_place(RECORD)
    names = [name for name, _ in moved(moved(RECORD, 1), 2).headers]
    assert len(names) == len(set(names))


def with_header(record: Record, name: str, value: bytes | None) -> Record:
    headers = [(one, value if one == name else content) for one, content in record.headers]
    return record._replace(headers=tuple(header for header in headers if header[1] is not None))  # type: ignore[arg-type]  # None leaves it out


@pytest.mark.parametrize(
    "forged",
    [
        with_header(moved(RECORD, 1), PROOF, None),
        with_header(moved(RECORD, 1), PROOF, b""),
        with_header(moved(RECORD, 1), PROOF, b"\xff" * 16),
        with_header(moved(RECORD, 1), OFFSET, b"71"),
        with_header(moved(RECORD, 1), OFFSET, b"9" * 200),
        with_header(moved(RECORD, 1), OFFSET, b"9" * 5_000),
        with_header(moved(RECORD, 1), PARTITION, b"x"),
        with_header(moved(RECORD, 1), TIMESTAMP, b"999"),
        with_header(moved(RECORD, 1), TOPIC, b"\xff"),
        with_header(moved(RECORD, 1), TOPIC, None),
        moved(RECORD, 1)._replace(value=b"another value"),
        moved(RECORD, 1)._replace(value=None),
        moved(RECORD, 1)._replace(key=b""),
        moved(RECORD, 1, STRANGERS),
    ],
)
def test_an_unproven_origin_is_ignored(forged: Record) -> None:
    before = METRICS.unproven_origins
    assert OURS.of(forged) == own_place(forged)
    assert METRICS.unproven_origins == before + 1
    # It is forwarded from there with a proof of ours.
    assert OURS.of(moved(forged, 2)) == own_place(forged)


def test_during_an_upgrade_origins_without_a_proof_may_count() -> None:
    origins = Origins(b"k" * 32, Metrics(), accept_unproven=True)
    old = with_header(moved(RECORD, 1), PROOF, None)
    assert origins.of(old) == own_place(RECORD)
    absurd = with_header(old, OFFSET, b"9" * 200)
    wrong = with_header(moved(RECORD, 1), PROOF, b"\xff" * 16)
    assert (origins.of(absurd), origins.of(wrong)) == (own_place(absurd), own_place(wrong))


def test_headers_that_would_not_fit_are_left_out() -> None:
    many = RECORD._replace(headers=tuple((f"h{n}", bytes(10_000)) for n in range(200)))
    there = moved(many, 1)
    assert OURS.of(there) == own_place(RECORD)
    assert len(there.headers) == 5
    assert OURS.forward(many, own_place(many), "rekeyed", 1).size <= MAX_OUTPUT_BYTES


def test_warnings_come_at_once_and_then_less_and_less_often(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    misplaced = Misplaced(metrics, "user id")
    with caplog.at_level(logging.WARNING):
        for _ in range(1_000):
            misplaced.count("raw", 1)
        misplaced.count("other", 2)
    warnings = [record.getMessage() for record in caplog.records]
    assert [text.partition(" records")[0] for text in warnings] == [
        "raw: 1",
        "raw: 11",
        "raw: 111",
        "other: 2",
    ]
    assert all("user id" in text and "murmur2" in text for text in warnings)
    assert metrics.rekeyed == {"raw": 1_000, "other": 2}
