"""The watermark of a file; that a file is judged right is proven by `tests/oracle`, and by `test_live`."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.titles.file import Watermark

ONE, TWO = ("raw-events", 0), ("raw-events", 1)


def test_the_watermark_waits_for_every_partition():
    watermark = Watermark([ONE, TWO])
    watermark.observe(ONE, 100)
    assert watermark.value is None
    watermark.observe(TWO, 50)
    assert watermark.value == 50
    watermark.observe(TWO, 40)
    assert watermark.value == 50
    watermark.observe(TWO, 200)
    assert watermark.value == 100


def test_a_partition_that_has_ended_holds_nothing_back():
    watermark = Watermark([ONE, TWO])
    watermark.observe(ONE, 100)
    watermark.end(TWO)
    assert watermark.value == 100
    watermark.observe(ONE, 150)
    assert watermark.value == 150


def test_when_all_have_ended_it_is_the_largest_of_any():
    watermark = Watermark([ONE, TWO])
    watermark.observe(ONE, 100)
    watermark.observe(TWO, 50)
    watermark.end(ONE)
    assert watermark.value == 50
    watermark.end(TWO)
    assert watermark.value == 100


def test_without_a_judged_event_there_is_none():
    watermark = Watermark([ONE])
    watermark.end(ONE)
    assert watermark.value is None


@given(
    st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.integers(0, 100) | st.none()), max_size=20),
)
def test_the_watermark_is_the_least_and_never_goes_back(steps):
    watermark, times, open_ones = Watermark([ONE, TWO]), {}, {ONE, TWO}
    before = None
    for partition, time in steps:
        if partition not in open_ones:
            continue
        if time is None:
            open_ones.discard(partition)
            watermark.end(partition)
        else:
            times[partition] = max(time, times.get(partition, time))
            watermark.observe(partition, time)
        if open_ones <= times.keys():
            known = [times[each] for each in open_ones] or [max(times.values(), default=None)]
            assert watermark.value == min(known)
        else:
            assert watermark.value is None
        assert before is None or watermark.value >= before
        before = watermark.value
    assert watermark.times == times
