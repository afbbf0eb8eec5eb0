"""The table of the risk agent: one or two records per user, and up to four per partition.

The table's name and the form of its keys are persisted identity. A key is

* `u` and a user's id: the `UserState`, whose form is in `tables/users.py`;
* `q` and a user's id: the `RequestHistory`, the user's privacy requests;
* `p` alone: the `PartitionState`;
* `r` alone: the `RecentResults`, the partition's last judged events;
* `s` alone: the rule set in force, `InForce`;
* `m` alone: the anomaly model in force, `ModelInForce`; missing where none was ever published.
"""

from typing import Final

from pipeline.delivery.state.unit import State
from pipeline.evaluation.batch import Erased, PartitionState
from pipeline.evaluation.model_book import NOTHING, ModelInForce
from pipeline.evaluation.recent import RecentResults
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
MODEL_KEY: Final = b"m"

RiskValue = UserState | PartitionState | RecentResults | RequestHistory | InForce | ModelInForce

PARTITION_FORM: Final = Form(Kind.PARTITION, 2, PartitionState, "partition", sort_keys=True)
REQUESTS_FORM: Final = Form(Kind.REQUESTS, 1, RequestHistory, "request")
RULES_FORM: Final = Form(Kind.RULES, 1, InForce, "rule set")
MODEL_FORM: Final = Form(Kind.MODEL, 1, ModelInForce, "model in force")
_FORMS: Final = Forms(
    "risk",
    PARTITION_FORM,
    Form(Kind.RECENT, 1, RecentResults, "recent results"),
    REQUESTS_FORM,
    RULES_FORM,
    MODEL_FORM,
)


class RiskCodec:
    """The forms of the table's values. Nearly all values are users, which have a form of their own."""

    def encode(self, value: RiskValue) -> bytes:
        """The bytes of a value; the same for the same state."""
        return encode_user(value) if isinstance(value, UserState) else _FORMS.encode(value)

    def decode(self, value: bytes) -> RiskValue:
        """The value of bytes.

        Raises:
            WireError: this version of the program does not read their form.
        """
        if value[:1] == _USER:
            return decode_user(value)
        found: RiskValue = _FORMS.decode(value)
        return found


USER_KEYS: Final = b"u"
"""The beginning of the key of a user's state."""


def user_key(user_id: str) -> bytes:
    """The key of a user's state."""
    return USER_KEYS + user_id.encode()


def user_of(key: bytes) -> str:
    """The id of the user whose state has this key."""
    return key[len(USER_KEYS) :].decode()


def requests_key(user_id: str) -> bytes:
    """The key of a user's privacy requests."""
    return b"q" + user_id.encode()


class UnitUsers:
    """The users of one partition, as the evaluation reads and writes them (`pipeline.evaluation.evaluator.Users`).

    It is called for every event, so it works on the cache of the unit directly.
    """

    def __init__(self, unit: State[RiskValue]) -> None:
        # A user who is read is nearly always written next, so the key that was made last is kept.
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
    """The state of the partition; a new one where there is none yet. Changes must be written by the caller."""
    value = unit.get(PARTITION_KEY)
    return value if isinstance(value, PartitionState) else PartitionState()


def recent_results(unit: State[RiskValue]) -> RecentResults:
    """The last judged events of the partition."""
    value = unit.get(RECENT_KEY)
    return value if isinstance(value, RecentResults) else RecentResults()


def rules_in_force(unit: State[RiskValue]) -> InForce | None:
    """The rule set in force in the partition; None where nothing was judged yet."""
    value = unit.get(RULES_KEY)
    return value if isinstance(value, InForce) else None


def model_of(value: RiskValue | None) -> ModelInForce:
    """The anomaly model in force in a partition: the value under `MODEL_KEY`, or `NOTHING` where it is missing."""
    return value if isinstance(value, ModelInForce) else NOTHING


def record_erasure(unit: State[RiskValue], partition: PartitionState, erased: Erased) -> None:
    """Count that data of a user was erased. Where the user has a request history, add the time to it.

    The caller writes `partition`.

    Raises:
        WireError: the user's request history cannot be read. Nothing was changed then.
    """
    history = request_history(unit, erased.user_id)
    if history.requests:
        unit[requests_key(erased.user_id)] = history.erased_at(erased.time, erased.region)
    partition.count("erased", 1)


def request_history(unit: State[RiskValue], user_id: str) -> RequestHistory:
    """The privacy requests of a user."""
    value = unit.get(requests_key(user_id))
    return value if isinstance(value, RequestHistory) else RequestHistory()
