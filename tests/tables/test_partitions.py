"""The wire form of what is kept of a partition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.batch import PartitionState
from tables.forms import WireError
from tables.risk import PARTITION_FORM

COUNTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers(0, 2**63 - 1)
)
TIMES = st.dictionaries(st.sampled_from(["raw-events", "raw-events-rekeyed"]), st.integers(-(2**50), 2**50))


@given(COUNTS, TIMES, st.integers(0, 2**63 - 1))
def test_a_state_comes_back_as_it_went(counts, times, sequence):
    state = PartitionState(counts, times, sequence)
    assert PARTITION_FORM.decode(PARTITION_FORM.encode(state)) == state


@given(COUNTS, TIMES, st.randoms(use_true_random=False))
def test_the_same_state_has_the_same_bytes(counts, times, shuffler):
    members = list(counts.items())
    shuffler.shuffle(members)
    other = PartitionState(dict(members), dict(reversed(times.items())))
    assert PARTITION_FORM.encode(other) == PARTITION_FORM.encode(PartitionState(counts, times))


@pytest.mark.parametrize(
    "value",
    [b"", b"P", b"P\xfe\x92\x80\x80", b"U\x01\x92\x80\x80", b"P\x01\x92\x80\x80", b"P\x02", b"P\x02\x92\x80"],
)
def test_what_is_of_an_unknown_version_or_not_a_partitions_is_refused(value):
    with pytest.raises(WireError, match="a partition record begins with"):
        PARTITION_FORM.decode(value)
