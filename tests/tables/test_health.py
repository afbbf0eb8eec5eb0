"""The wire forms of the health agent's table."""

import pytest

from pipeline.evaluation.device_health import DeviceHealth
from pipeline.evaluation.health_state import HealthPartition, Part, Seen, Segment, Source, Unit
from pipeline.evaluation.row_log import encode_row
from pipeline.evaluation.rule_book import InForce
from pipeline.evaluation.subject_health import SubjectHealth, TitleMinute
from tables.health import HealthCodec
from tables.wire import WireError

ROW = encode_row((29_498_000, "DE", "E1", 1, "user-1", 1, 0))


@pytest.mark.parametrize(
    "value",
    [
        SubjectHealth(),
        SubjectHealth(level="HIGH", fresh=ROW, count=1, regions={"DE": 2}, series={29_498_000: [2, 1, 1, 5]}),
        DeviceHealth(),
        DeviceHealth(segments=[(0, 29_498_000)], users={"user-1": 29_498_000}, series={29_498_000: [1, 2]}),
        TitleMinute({"E1": 1}, {"DE": 2}),
        Segment(1, ROW),
        HealthPartition(),
        HealthPartition(
            {"raw-events/0": Source(5, 0)}, {0: Unit(1, 1)}, 5, 7, 3, 2, {"device:d": None}, {1: 2}
        ),
        Seen(["device:d", "content:c"]),
        Part(b"H\x01"),
        InForce("v1", "", -1, -1),
    ],
)
def test_a_value_comes_back_from_its_bytes(value):
    codec = HealthCodec()
    assert codec.decode(codec.encode(value)) == value
    assert codec.encode(codec.decode(codec.encode(value))) == codec.encode(value)


@pytest.mark.parametrize(
    "value", [b"", b"T", b"T\x02\x90", b"U\x01\x90", b"D\x01\xc1", HealthCodec().encode(Seen(["a"]))[:-1]]
)
def test_what_is_of_an_unknown_version_or_of_another_table_is_refused(value):
    with pytest.raises(WireError, match="a health record begins with"):
        HealthCodec().decode(value)
