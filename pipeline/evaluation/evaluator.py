"""The evaluation of one record: (record, user's state, rule set) to (state, what came of it).

A record is judged as a whole or not at all: where our own code fails on it, its user's state is what it was
before, and the record ends as a failed event.
"""

import traceback
from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec
import xxhash

from pipeline.evaluation.failed import failed_event
from pipeline.evaluation.findings import add_activity_findings, legal_findings
from pipeline.evaluation.source import FUTURE_MS, NO_TIMESTAMP, Record, source_of
from pipeline.evaluation.verdict import Verdict, encode_verdict, user_verdict
from pipeline.events import strict_json
from pipeline.events.decode import EventDecoder
from pipeline.events.event import Event, Request
from pipeline.events.invalid import ErrorDetail, InvalidMessageError, lost_opt_out, opt_out_not_recorded
from pipeline.events.model import EVENT_SCHEMA, REQUEST_SCHEMA
from pipeline.rules.account_impossible_travel import place_after
from pipeline.rules.finding import Finding
from pipeline.rules.inputs import Activity, shown_as_it_is
from pipeline.rules.ruleset import RuleSet
from pipeline.windows.privacy import PrivacyRecord
from pipeline.windows.user import LastEvent, LastPlace, UserState
from pipeline.windows.window import (
    FAILS,
    FAILS_LOGIN,
    NEUTRAL,
    ROLES,
    START_FAILS,
    STARTS,
    WINDOW_MS,
    Entry,
    Window,
)

Ending = Literal["judged", "duplicate", "failed", "request", "misplaced"]

_encode_content: Final = msgspec.msgpack.Encoder().encode
_hash: Final = xxhash.xxh3_64_intdigest
_new_entry: Final = tuple.__new__  # a named tuple's own constructor is a Python call


_REPAIR_BATCH: Final = (
    "none of them is judged, and an opt-out in them is NOT recorded; read them with another client while the topic "
    "keeps them, and send them again"
)


class Users(Protocol):
    """The states of users, as the evaluation reads and writes them."""

    def get(self, user_id: str, /) -> UserState | None:
        """The state of a user; None for a new one."""
        ...

    def __setitem__(self, user_id: str, state: UserState, /) -> None:
        """Keep a state that changed (it may be the object that `get` gave)."""
        ...

    def owns(self, user_id: str, /) -> bool:
        """Whether this user's state lives here; asked for new users only."""
        ...


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of one record.

    `event` is None for a failed one and a request; `verdict`, its bytes `published`, and `shadow` (ids of
    rules that fired but are not published) are there for judged events only; `failed` is the value for
    `failed-events`, and `reason` says why the record failed; `user_id` names the user of a misplaced record;
    `request` is the privacy request that was applied. `watched` is for how long (milliseconds) the event's device has
    played up to it, `start_failed` whether it tells that a start failed (see `Window.watched`, `Window.only_started`).
    `anew` is whether its user had been away so long that what was known was erased (see `UserState.erased`), and
    `left_region` the region of the last place that went with it.
    """

    ending: Ending
    event: Event | None = None
    late: bool = False
    watched: int = 0
    start_failed: bool = False
    verdict: Verdict | None = None
    published: bytes | None = None
    shadow: tuple[str, ...] = ()
    failed: bytes | None = None
    reason: str | None = None
    user_id: str | None = None
    request: Request | None = None
    anew: bool = False
    left_region: str | None = None


class Evaluator:
    """Judges records under one rule set.

    Args:
        ruleset: the rules; may be replaced between records.
        app_version: named in failed events.
        model_version: of the anomaly model; None without one.
        show: the form of user and device ids in verdicts (a keyed hash where a pseudonym key is configured).
    """

    def __init__(
        self,
        ruleset: RuleSet,
        app_version: str,
        model_version: str | None = None,
        show: Callable[[str], str] = shown_as_it_is,
    ) -> None:
        self.ruleset = ruleset
        self.model_version = model_version
        self.show = show
        self.decoder = EventDecoder()
        self._app_version = app_version

    def judge(self, record: Record, users: Users) -> Outcome:
        """Judge a record of a topic of events."""
        event: Event | None = None
        try:
            event = self.decoder.event(record.value)
            return self._judge_event(record, event, users)
        except InvalidMessageError as invalid:
            return self._failed(invalid, record, event, EVENT_SCHEMA)
        except Exception as error:  # noqa: BLE001 - whatever our code fails on is a failed event, not an end
            return self._failed(_processing_error(error), record, event, EVENT_SCHEMA)

    def apply(self, record: Record, users: Users) -> Outcome:
        """Apply a record of `privacy-requests`, from here on, whatever its timestamp."""
        request: Request | None = None
        try:
            request = self.decoder.request(record.value)
            if record.timestamp >= 0 and request.time - record.timestamp > FUTURE_MS:
                raise _future(request.time, record.timestamp)  # noqa: TRY301 - one way out for all failures
            state = users.get(request.user_id)
            if state is None:
                if not users.owns(request.user_id):
                    return Outcome("misplaced", user_id=request.user_id)
                state = UserState()
            state.privacy = state.privacy.apply(request.type, request.time)
            users[request.user_id] = state
        except InvalidMessageError as invalid:
            return self._failed(invalid, record, request, REQUEST_SCHEMA)
        except Exception as error:  # noqa: BLE001 - as in judge
            return self._failed(_processing_error(error), record, request, REQUEST_SCHEMA)
        return Outcome("request", request=request)

    def refuse(self, record: Record, errors: list[ErrorDetail]) -> Outcome:
        """A record that could not even be opened: a failed event of a topic of events."""
        return self._failed(InvalidMessageError("schema_violation", errors), record, None, EVENT_SCHEMA)

    def poisoned(self, record: Record, error: Exception, *, request: bool) -> Outcome:
        """A record on which our own code failed outside `judge` and `apply`."""
        schema = REQUEST_SCHEMA if request else EVENT_SCHEMA
        return self._failed(_processing_error(error), record, None, schema)

    def unreadable(self, place: Record, message: str, *, request: bool) -> Outcome:
        """A batch of records that could not be read at all.

        Args:
            place: the first offset of it, without key and value.
            message: which offsets, and what is wrong with them.
            request: whether they were privacy requests.
        """
        error = ErrorDetail("", f"{message}; {_REPAIR_BATCH}", "unreadable_batch")
        schema = REQUEST_SCHEMA if request else EVENT_SCHEMA
        return self._failed(InvalidMessageError("unreadable_batch", [error]), place, None, schema)

    def _judge_event(  # noqa: C901, PLR0912, PLR0915 - one path, read from top to bottom, on every event
        self, record: Record, event: Event, users: Users
    ) -> Outcome:
        time, record_time = event.time, record.timestamp
        if record_time < 0:
            record_time = NO_TIMESTAMP
        elif time - record_time > FUTURE_MS:
            raise _future(time, record_time)
        state = users.get(event.user_id)
        if state is None:
            if not users.owns(event.user_id):
                return Outcome("misplaced", user_id=event.user_id)
            state = UserState()
        stream_time, window, last_place = state.stream_time, state.window, state.last_place
        last_event = state.last_event
        if state.idle(record_time):
            stream_time, window, last_place = None, Window(), None
        if stream_time is None or time > stream_time:
            in_order, stream_time = True, time
        else:
            if time <= stream_time - WINDOW_MS:
                return self._judge_late(record, event, state, users)
            in_order = time == stream_time
        identity, content = _hash(event.event_id.encode()), _hash(_encode_content(event))
        known = window.find(identity, stream_time)
        if known is not None:
            if known.content == content:
                return Outcome("duplicate", event)
            raise _conflict(event)
        privacy = state.privacy
        if event.signals_opt_out:
            privacy = privacy.observe(event)
        device, role = event.device_id, ROLES.get(event.type, NEUTRAL)
        watched, start_failed = 0, False
        if role == STARTS:
            if event.error_code:
                role, start_failed = START_FAILS, True
        elif role != NEUTRAL and role != FAILS_LOGIN:  # noqa: PLR1714 - on every event, and faster than a set
            watched = window.watched(device, time)
            if (event.error_code or role == FAILS) and event.is_playback:
                start_failed = window.only_started(device, time)
        entry: Entry = _new_entry(Entry, (time, identity, content, event.region, event.network, device, role))
        left_early = window.left_early
        left = window.observe(entry, stream_time)
        # From here to the end nothing of the state may change before all that can fail is done.
        try:
            findings = self._legal_findings(event, privacy)
            activity = Activity(
                window, stream_time, event.region, time, event.plan, last_place, in_order, self.show
            )
            add_activity_findings(findings, self.ruleset, activity)
            outcome = self._judged(
                record, event, findings, late=False, watched=watched, start_failed=start_failed
            )
            if in_order:
                last_event = _last_event(event, last_place)
                last_place = place_after(last_place, event.region, time)
        except BaseException:
            window.undo(entry, left, left_early)
            raise
        if window is not state.window:
            left_place = state.last_place
            outcome = msgspec.structs.replace(
                outcome, anew=True, left_region=None if left_place is None else left_place.region
            )
        state.stream_time = stream_time
        state.window = window
        state.last_place = last_place
        state.last_event = last_event
        state.last_record_time = record_time
        state.privacy = privacy
        users[event.user_id] = state
        return outcome

    def _judge_late(self, record: Record, event: Event, state: UserState, users: Users) -> Outcome:
        """Judge an event that is too late for the window: by the law only."""
        privacy = state.privacy.observe(event) if event.signals_opt_out else state.privacy
        outcome = self._judged(record, event, self._legal_findings(event, privacy), True)
        state.last_record_time = record.timestamp if record.timestamp >= 0 else NO_TIMESTAMP
        state.privacy = privacy
        users[event.user_id] = state
        return outcome

    def _legal_findings(self, event: Event, privacy: PrivacyRecord) -> list[Finding]:
        profile = (event.region, event.is_eu, event.has_consent, event.user_age, event.data_shared)
        return legal_findings(self.ruleset, profile, event.time, event, privacy)

    def _judged(
        self,
        record: Record,
        event: Event,
        findings: list[Finding],
        late: bool,
        watched: int = 0,
        start_failed: bool = False,
    ) -> Outcome:
        if not findings:
            return Outcome("judged", event, late, watched, start_failed)
        ruleset = self.ruleset
        shadow: tuple[str, ...] = ()
        if ruleset.shadow:
            shadow = tuple(finding.rule_id for finding in findings if finding.rule_id in ruleset.shadow)
            findings = [finding for finding in findings if finding.rule_id not in ruleset.shadow]
            if not findings:
                return Outcome("judged", event, late, watched, start_failed, shadow=shadow)
        source = source_of(record)
        verdict = user_verdict(event, findings, late, source, ruleset.version, self.model_version, self.show)
        return Outcome("judged", event, late, watched, start_failed, verdict, encode_verdict(verdict), shadow)

    def _failed(
        self,
        invalid: InvalidMessageError,
        record: Record,
        message: Event | Request | None,
        schema: str,
    ) -> Outcome:
        errors = list(invalid.errors)
        if message is not None or invalid.reason in {"processing_error", "unreadable_batch"}:
            # The decoder has looked at what it refused; this was valid so far, or never seen.
            errors += _lost_unread(record.value, on_request_topic=schema == REQUEST_SCHEMA)
        value = failed_event(
            invalid.reason, errors, source_of(record), record.value, schema, self._app_version
        )
        return Outcome("failed", failed=value, reason=invalid.reason)


def _last_event(event: Event, place_before: LastPlace | None) -> LastEvent:
    fields = (
        event.is_eu,
        event.has_consent,
        event.do_not_track,
        event.deletion_requested,
        event.gpc,
        event.user_age,
        event.data_shared,
        event.plan,
        place_before,
    )
    return _new_entry(LastEvent, fields)


def _future(time: int, timestamp: int) -> InvalidMessageError:
    """A time ahead of the record's own timestamp (never of the wall clock, so a replay decides alike)."""
    message = (
        f"lies {(time - timestamp) / 1000:.3f} s after the record's timestamp; "
        f"at most {FUTURE_MS // 1000} s are allowed"
    )
    return InvalidMessageError("future_timestamp", [ErrorDetail("timestamp", message, "future_timestamp")])


def _conflict(event: Event) -> InvalidMessageError:
    message = f"event_id {event.event_id!r} stands in the user's window with other content; the first stays"
    return InvalidMessageError(
        "duplicate_id_conflict", [ErrorDetail("event_id", message, "duplicate_id_conflict")]
    )


def _processing_error(error: Exception) -> InvalidMessageError:
    frames = traceback.extract_tb(error.__traceback__)
    # An error that was handed on without being raised has no place.
    place = "".join(f" at {at.filename.rpartition('/')[2]}:{at.lineno} in {at.name}" for at in frames[-1:])
    message = f"{type(error).__name__}{place}"
    return InvalidMessageError("processing_error", [ErrorDetail("", message, "processing_error")])


def _lost_unread(value: bytes | None, *, on_request_topic: bool) -> list[ErrorDetail]:
    """The opt-out entry for a message that the decoder did not refuse itself.

    It never fails: where reading is what our code failed on, what came as a request may have been a deletion.
    """
    try:
        parsed = strict_json.read_json(value or b"").value
    except Exception:  # noqa: BLE001 - a failed event is made of whatever our code failed on
        return [opt_out_not_recorded("")] if on_request_topic else []
    return lost_opt_out(parsed, on_request_topic)
