"""The table of the risk agent: one record per user, and three per partition beside them.

Its name and the form of its keys are persisted identity. A key is `u` and the user's id, `q` and the user's id for the
privacy requests of the user, `p` alone for what is kept of the partition, `r` alone for its last judged events,
`s` alone for the rule set in force.
"""

from typing import Final

from pipeline.delivery.state.unit import State
from pipeline.evaluation.batch import Erased, PartitionState
from pipeline.evaluation.recent import Recent
from pipeline.evaluation.rule_book import InForce
from pipeline.windows.requests import RequestHistory
from pipeline.windows.user import UserState
from tables.forms import Form, Forms, Kind
from tables.users import decode_user, encode_user

TABLE_NAME: Final = "users-v1"
_USER: Final = bytes((Kind.USER,))
PARTITION_KEY: Final = b"p"
RECENT_KEY: Final = b"r"
RULES_KEY: Final = b"s"

RiskValue = UserState | PartitionState | Recent | RequestHistory | InForce


PARTITION_FORM: Final = Form(Kind.PARTITION, 2, PartitionState, "partition", sort_keys=True)
REQUESTS_FORM: Final = Form(Kind.REQUESTS, 1, RequestHistory, "request")
RULES_FORM: Final = Form(Kind.RULES, 1, InForce, "rule set")
_FORMS: Final = Forms(
    "risk", PARTITION_FORM, Form(Kind.RECENT, 1, Recent, "recent results"), REQUESTS_FORM, RULES_FORM
)


class RiskCodec:
    """The forms of the table's values. Users, nearly all of them, have a form of their own (`tables/users.py`)."""

    def encode(self, value: RiskValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        return encode_user(value) if isinstance(value, UserState) else _FORMS.encode(value)

    def decode(self, value: bytes) -> RiskValue:
        """The value of bytes.

        Raises:
            WireError: they are not of a form that this program reads.
        """
        if value[:1] == _USER:
            return decode_user(value)
        found: RiskValue = _FORMS.decode(value)
        return found


USER_KEYS: Final = b"u"
"""How the keys of users begin."""


def user_key(user_id: str) -> bytes:
    """The key of a user's record."""
    return USER_KEYS + user_id.encode()


def user_of(key: bytes) -> str:
    """The id of the user whose record has this key."""
    return key[len(USER_KEYS) :].decode()


def requests_key(user_id: str) -> bytes:
    """The key of a user's privacy requests."""
    return b"q" + user_id.encode()


class UnitUsers:
    """The users of one partition, for the evaluation."""

    def __init__(self, unit: State[RiskValue]) -> None:
        # The key that was made last: a user who is read is nearly always written next.
        self._user_id = ""
        self._key = user_key("")
        self._cache = unit.cache
        self._dirty = unit.dirty
        self._load = unit.load
        self._owns = unit.owns

    def get(self, user_id: str, /) -> UserState | None:
        """The state of a user; None for a new one."""
        self._user_id = user_id
        key = self._key = b"u" + user_id.encode()
        value = self._cache.get(key)
        if value is None:
            value = self._load(key)
        return value if isinstance(value, UserState) else None

    def __setitem__(self, user_id: str, state: UserState, /) -> None:
        """Keep a state that changed."""
        key = self._key if user_id is self._user_id else user_key(user_id)
        self._cache[key] = state
        self._dirty.add(key)

    def owns(self, user_id: str, /) -> bool:
        """Whether the user's records belong to this partition."""
        return self._owns(user_id.encode())


def partition_state(unit: State[RiskValue]) -> PartitionState:
    """What is kept of the partition; new where nothing is kept yet."""
    value = unit.get(PARTITION_KEY)
    return value if isinstance(value, PartitionState) else PartitionState()


def recent_results(unit: State[RiskValue]) -> Recent:
    """The last judged events of the partition."""
    value = unit.get(RECENT_KEY)
    return value if isinstance(value, Recent) else Recent()


def rules_in_force(unit: State[RiskValue]) -> InForce | None:
    """The rule set that judges the partition; None where nothing was judged yet."""
    value = unit.get(RULES_KEY)
    return value if isinstance(value, InForce) else None


def note_erased(unit: State[RiskValue], partition: PartitionState, erased: Erased) -> None:
    """Count that data of a user was erased, and write down when; of one who never asked for anything only the count.

    Raises:
        WireError: the user's requests cannot be read; nothing is changed.
    """
    history = request_history(unit, erased.user_id)
    if history.requests:
        unit[requests_key(erased.user_id)] = history.erased_at(erased.time, erased.region)
    partition.counts["erased"] = partition.counts.get("erased", 0) + 1


def request_history(unit: State[RiskValue], user_id: str) -> RequestHistory:
    """The privacy requests of a user."""
    value = unit.get(requests_key(user_id))
    return value if isinstance(value, RequestHistory) else RequestHistory()
