"""The wire form of a user's requests, and that the one without erasures is still read."""

import msgspec
import pytest

from pipeline.windows.requests import KEPT, RequestHistory, RequestRecord
from tables.forms import WireError
from tables.risk import REQUESTS_FORM

RECORD = RequestRecord("r1", "delete", 1, "NL", 2)


@pytest.mark.parametrize(
    "history",
    [
        RequestHistory(),
        RequestHistory((RECORD,)),
        RequestHistory((RECORD,), (5, 7)),
        RequestHistory((), (5,)),
    ],
)
def test_a_history_comes_back_as_it_went(history):
    assert REQUESTS_FORM.decode(REQUESTS_FORM.encode(history)) == history


def test_a_history_that_was_written_before_there_were_erasures_is_read():
    written = b"Q\x01" + msgspec.msgpack.encode([[["r1", "delete", 1, "NL", 2]]])
    assert REQUESTS_FORM.decode(written) == RequestHistory((RECORD,))


def test_a_program_that_knows_of_no_erasures_reads_the_requests():
    class Before(msgspec.Struct, array_like=True):
        requests: tuple[RequestRecord, ...] = ()

    value = REQUESTS_FORM.encode(RequestHistory((RECORD,), (5,)))
    assert msgspec.msgpack.decode(value[2:], type=Before).requests == (RECORD,)


def test_the_newest_erasures_are_kept():
    history = RequestHistory((RECORD,))
    for time in range(KEPT + 5):
        history = history.erased_at(time)
    assert history.erased == tuple(range(5, KEPT + 5))
    assert history.requests == (RECORD,)


def test_requests_without_a_region_keep_the_one_that_is_erased():
    nowhere = RequestRecord("r2", "opt_out", 1, None, 2)
    erased = RequestHistory((RECORD, nowhere)).erased_at(5, "US-CA")
    assert [request.region for request in erased.requests] == ["NL", "US-CA"]
    assert [request.region for request in RequestHistory((nowhere,)).erased_at(5).requests] == [None]


@pytest.mark.parametrize("value", [b"", b"Q\x02\x90", b"Q\x01\xc1"])
def test_what_it_cannot_read_is_refused(value):
    with pytest.raises(WireError):
        REQUESTS_FORM.decode(value)
