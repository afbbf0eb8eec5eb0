"""The form of watermarks in a changelog."""

import pytest

from pipeline.delivery.state.changelog import decode_watermarks, encode_watermarks


def test_watermarks_come_back_and_equal_ones_have_equal_bytes() -> None:
    offsets = {"b": 2, "a": 0}
    assert decode_watermarks(encode_watermarks(offsets)) == offsets
    assert encode_watermarks(offsets) == encode_watermarks(dict(reversed(offsets.items())))
    assert decode_watermarks(None) == {}
    assert encode_watermarks(offsets) == b'{"v":1,"next":{"a":0,"b":2}}', (
        "changelogs of running workers have this form"
    )


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"v":2,"next":{}}', b'{"v":1,"next":[]}', b"\xff"])
def test_bytes_that_are_no_watermarks_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="watermarks"):
        decode_watermarks(value)
