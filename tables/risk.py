"""The table of the risk agent: one record per user, and one per partition beside them.

Its name and the form of its keys are persisted identity. A key is `u` and the user's id, or `p` alone for
what is kept of the partition.
"""

from collections.abc import MutableMapping
from typing import Final, Protocol

from pipeline.evaluation.batch import PartitionState
from pipeline.windows.user import UserState
from tables.partitions import decode_partition, encode_partition
from tables.users import decode_user, encode_user
from tables.wire import PARTITION

TABLE_NAME: Final = "users-v1"
PARTITION_KEY: Final = b"p"

RiskValue = UserState | PartitionState


class RiskCodec:
    """The wire forms of the table's values."""

    def encode(self, value: RiskValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        return encode_user(value) if isinstance(value, UserState) else encode_partition(value)

    def decode(self, value: bytes) -> RiskValue:
        """The value of bytes.

        Raises:
            WireError: they are not of a version that this program reads.
        """
        return decode_partition(value) if value[:1] == bytes((PARTITION,)) else decode_user(value)


def user_key(user_id: str) -> bytes:
    """The key of a user's record."""
    return b"u" + user_id.encode()


class Unit(Protocol):
    """One partition of the table, as the delivery hands it to a batch."""

    @property
    def state(self) -> MutableMapping[bytes, RiskValue]:
        """The records of the partition."""
        ...

    def owns(self, key: bytes, /) -> bool:
        """Whether records of this message key belong to the partition."""
        ...


class UnitUsers:
    """The users of one partition, for the evaluation."""

    def __init__(self, unit: Unit) -> None:
        self._state = unit.state
        self._owns = unit.owns

    def get(self, user_id: str, /) -> UserState | None:
        """The state of a user; None for a new one."""
        value = self._state.get(b"u" + user_id.encode())
        return value if isinstance(value, UserState) else None

    def __setitem__(self, user_id: str, state: UserState, /) -> None:
        """Keep a state that changed."""
        self._state[b"u" + user_id.encode()] = state

    def owns(self, user_id: str, /) -> bool:
        """Whether the user's records belong to this partition."""
        return self._owns(user_id.encode())


def partition_state(unit: Unit) -> PartitionState:
    """What is kept of the partition; new where nothing is kept yet."""
    value = unit.state.get(PARTITION_KEY)
    return value if isinstance(value, PartitionState) else PartitionState()
