"""Records for the evaluation, and what judges them."""

import json

from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.source import PlainRecord
from pipeline.judging.file import AllUsers
from pipeline.rules.ruleset import built_in
from tests.pipeline.events.messages import encode, encoded

NOW = 1_769_890_500_000  # the time of an event that `message` makes


def record(value=None, *, topic="raw-events", partition=0, offset=0, stamped=-1, key=None, **changes):
    """A record of an event that no rule minds, with fields changed; or of any `value`. `stamped` by Kafka."""
    return PlainRecord(topic, partition, offset, stamped, key, encoded(**changes) if value is None else value)


def request(kind="opt_out", *, stamped=-1, offset=0, **changes):
    """A record of `privacy-requests`, one second before the event."""
    fields = {
        "schema": "privacy-request/1",
        "request_id": "r1",
        "user_id": "user-1",
        "type": kind,
        "timestamp": "2026-01-31T20:14:59Z",
    }
    return PlainRecord("privacy-requests", 0, offset, stamped, None, encode(fields | changes))


class Judge:
    """An evaluator with its users."""

    def __init__(self, ruleset=None, **options):
        self.evaluator = Evaluator(ruleset or built_in(), "1.0", **options)
        self.users = AllUsers()

    def event(self, *args, **changes):
        return self.evaluator.judge(record(*args, **changes), self.users)

    def request(self, *args, **changes):
        return self.evaluator.apply(request(*args, **changes), self.users)


def verdict(outcome):
    return json.loads(outcome.published)


def failed(outcome):
    return json.loads(outcome.failed)
