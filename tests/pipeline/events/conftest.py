"""Decoding as tests ask for it."""

import pytest

from pipeline.events.decode import EventDecoder
from pipeline.events.invalid import InvalidMessageError

LONGEST_ID = 60


def pytest_make_parametrize_id(val):
    """Some of the values are long: their test is named by their beginning and their length."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{val[:20]!a}..{len(val)}"
    return None


@pytest.fixture
def decode():
    """Decodes the value of an event."""
    return EventDecoder().event


@pytest.fixture
def refusal():
    """What is wrong with the value of an event, or of a request: reason, and (path, type) of errors."""

    def refused(value, *, request=False):
        decoder = EventDecoder()
        with pytest.raises(InvalidMessageError) as raised:
            (decoder.request if request else decoder.event)(value)
        return raised.value.reason, [(error.path, error.type) for error in raised.value.errors]

    return refused
