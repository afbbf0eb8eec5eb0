"""The wire forms of the title agent's table."""

import pytest

from pipeline.evaluation.rule_book import InForce
from pipeline.titles.figures import Figures
from pipeline.titles.rows import pack_row
from pipeline.titles.state import SeenSubjects, SourcePartition, TitlesPartition
from tables.forms import WireError
from tables.titles import TitlesCodec

MINUTE = 29_498_000
ROW = pack_row(MINUTE, 2, 1, 1, 1, 1, 60_000)


@pytest.mark.parametrize(
    "value",
    [
        Figures(),
        Figures(
            "HIGH",
            MINUTE // 60,
            [1, 2, 3, 4, 5, 6],
            ROW,
            36,
            1,
            {MINUTE: ({"E1": 1}, {"DE": 1})},
            {"users": {"user-1": MINUTE}},
        ),
        TitlesPartition(),
        TitlesPartition(
            2,
            {"device:d": None},
            {1: 2},
            {"verdicts": 1},
            {"raw-events/0": SourcePartition(5, 0)},
            {0: (1, 1)},
            5,
            7,
            3,
        ),
        SeenSubjects(["device:d", "content:c"]),
        InForce("v1", "", -1, -1),
    ],
)
def test_a_value_comes_back_from_its_bytes(value):
    codec = TitlesCodec()
    assert codec.decode(codec.encode(value)) == value
    assert codec.encode(codec.decode(codec.encode(value))) == codec.encode(value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"F",
        b"F\x02\x90",
        b"U\x01\x90",
        b"F\x01\xc1",
        TitlesCodec().encode(SeenSubjects(["a"]))[:-1],
        TitlesCodec().encode(Figures(rows=ROW[:-1])),
        TitlesCodec().encode(Figures(past=[0])),
    ],
)
def test_what_is_of_an_unknown_version_or_of_another_table_is_refused(value):
    with pytest.raises(WireError, match="a titles record begins with"):
        TitlesCodec().decode(value)
