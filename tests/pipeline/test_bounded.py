from hypothesis import given
from hypothesis import strategies as st

from pipeline.bounded import BoundedDict


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 9), st.integers())))
def test_it_holds_the_keys_that_were_set_last_each_with_its_newest_value(limit, writes):
    bounded = BoundedDict(limit)
    for key, value in writes:
        bounded[key] = value

    newest = {}
    for key, value in reversed(writes):
        newest.setdefault(key, value)
    assert list(bounded.items()) == list(newest.items())[:limit][::-1]
