"""The log stays readable while a broker is away."""

import logging

from aiokafka.errors import ProducerFenced

from pipeline.logs import RateLimit


def message(name: str, text: str, created: float) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, "%s", (text,), None)
    record.created = created
    return record


def test_a_repeated_message_of_the_client_library_is_written_once_in_a_while_with_its_count() -> None:
    limit = RateLimit(10)
    written = []
    for tick in range(301):
        record = message("aiokafka.client", "node 1 is away", tick / 10)
        if limit.filter(record):
            written.append(record.getMessage())
    assert written == ["node 1 is away", *["node 1 is away (99 more times)"] * 3]


def test_other_messages_are_not_held_back() -> None:
    limit = RateLimit(10)
    assert all(limit.filter(message("aiokafka.client", f"node {n} is away", 0)) for n in range(5))
    assert all(limit.filter(message("pipeline.delivery", "lost", 0)) for _ in range(5))


def test_a_future_that_the_client_library_leaves_behind_is_not_told() -> None:
    limit = RateLimit(10)
    for error, written in ((ProducerFenced(), False), (ValueError(), True)):
        record = message("asyncio", "Future exception was never retrieved", 0)
        record.exc_info = (type(error), error, None)
        assert limit.filter(record) is written


def test_it_forgets_rather_than_grows() -> None:
    limit = RateLimit(10)
    for number in range(5_000):
        limit.filter(message("aiokafka", f"offset {number}", 0))
    assert len(limit._seen) <= 1_000


def test_what_clients_cause_is_one_kind_whatever_its_values() -> None:
    limit = RateLimit(10)
    for name in ("asyncio", "aiohttp.server", "pipeline.web.http.limits"):
        written = [
            limit.filter(logging.LogRecord(name, logging.ERROR, __file__, 1, "no files: %s", (n,), None))
            for n in range(50)
        ]
        assert sum(written) == 1, name
        assert limit.filter(logging.LogRecord(name, logging.ERROR, __file__, 1, "other", (), None)), name


def test_each_entry_of_the_audit_trail_is_written() -> None:
    limit = RateLimit(10)
    assert all(
        limit.filter(message("pipeline.web.access.audit_trail", f"entry {n % 2}", 0)) for n in range(9)
    )
