"""The profile judges what the worker judges, with less and less of it."""

from pipeline.delivery.partitioner import Partitioner
from pipeline.evaluation.source import PlainRecord
from pipeline.lab.benchmark.load import Load
from pipeline.lab.benchmark.stages import _judge, _slices, _trace, _with_mode
from pipeline.rules.ruleset import built_in

NOW_MS = 1_795_000_000_000


def records(count, partitions=3):
    partition_of = Partitioner(partitions)
    return [
        PlainRecord("raw-events", partition_of(key), offset, NOW_MS, key, value)
        for offset, (key, value) in enumerate(Load(count, 200, NOW_MS))
    ]


def test_slices_keep_every_record_and_the_order_of_its_partition():
    whole = records(4_000)
    slices = _slices(whole)
    assert max(len(batch) for _, batch in slices) == 500
    for partition in range(3):
        sliced = [record for number, batch in slices if number == partition for record in batch]
        assert sliced == [record for record in whole if record.partition == partition]


def test_only_the_whole_evaluation_publishes_verdicts_and_all_of_them_change_the_same_state():
    whole = records(4_000)
    off = _judge(whole, _with_mode(built_in(), "off"))
    shadow = _judge(whole, _with_mode(built_in(), "shadow"))
    active = _judge(whole, built_in())
    assert not off.outputs
    assert not shadow.outputs
    assert len(active.outputs) > 100
    changes = [[sorted(entries) for entries in judged.commits] for judged in (off, shadow, active)]
    assert changes[0] == changes[1] == changes[2]
    assert min(off.evaluation, shadow.evaluation, active.evaluation) > 0


def test_the_trace_names_the_functions_of_the_evaluation_with_shares_of_one_whole():
    functions = _trace(records(2_000), built_in())
    assert any("pipeline/evaluation/evaluator.py" in function.place for function in functions)
    assert 0 < sum(function.own_share for function in functions) <= 1
    assert functions == sorted(functions, key=lambda function: function.own_share, reverse=True)
