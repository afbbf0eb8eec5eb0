"""The form of a partition's changelog: the changed keys of each commit, and its watermarks as the last record.

The watermarks are one record under the key `WATERMARKS`, with the offset of the next record of each source topic. A
commit is one transaction, so a reader of committed records sees all of it or nothing.
"""

import json
from collections.abc import Mapping
from typing import Final

RESERVED: Final = b"\xff\x00"
"""Keys with this prefix belong to the delivery. Text in UTF-8 never begins with it."""
WATERMARKS: Final = RESERVED + b"watermarks"

_VERSION: Final = 1

Entry = tuple[bytes, bytes | None]


def encode_watermarks(next_offsets: Mapping[str, int]) -> bytes:
    """The value under `WATERMARKS`, from the offset of the first record per topic that is not in the state."""
    return json.dumps(
        {"v": _VERSION, "next": dict(sorted(next_offsets.items()))}, separators=(",", ":")
    ).encode()


def decode_watermarks(value: bytes | None) -> dict[str, int]:
    """The offsets that `encode_watermarks` wrote; none for None.

    Raises:
        ValueError: the value is not one of watermarks, or of another version.
    """
    if value is None:
        return {}
    try:
        content = json.loads(value)
        version, next_offsets = content["v"], content["next"]
        if version == _VERSION:
            return {str(topic): int(offset) for topic, offset in next_offsets.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"these are no watermarks: {value[:80]!r}") from error
    raise ValueError(f"watermarks of version {str(version)[:80]}; this program reads version {_VERSION}")
