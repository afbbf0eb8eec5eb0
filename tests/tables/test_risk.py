"""The table's values by their first byte, and its keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.batch import PartitionState
from pipeline.evaluation.model_book import NOTHING, ModelInForce
from pipeline.windows.user import UserState
from tables.forms import WireError
from tables.risk import PARTITION_KEY, RiskCodec, model_of, user_key

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@pytest.mark.parametrize(
    "value",
    [
        UserState(),
        UserState(stream_time=1),
        PartitionState({"judged": 1}, {"t": 1}),
        ModelInForce("0123456789abcdef", 1_000, 7),
    ],
)
def test_each_kind_of_value_comes_back_as_it_went(value):
    codec = RiskCodec()
    again = codec.decode(codec.encode(value))
    assert type(again) is type(value)
    assert again == value


@pytest.mark.parametrize("value", [b"", b"X\x01", b"U\x63", b"P\x63"])
def test_what_nobody_can_read_is_refused(value):
    with pytest.raises(WireError):
        RiskCodec().decode(value)


@given(IDS, IDS)
def test_keys_tell_users_apart_and_from_the_partition(one, other):
    assert (user_key(one) == user_key(other)) == (one == other)
    assert user_key(one) != PARTITION_KEY


def test_where_no_model_was_published_none_is_in_force():
    assert model_of(None) == NOTHING
    assert model_of(ModelInForce("0123456789abcdef", 1, 0)).version == "0123456789abcdef"
