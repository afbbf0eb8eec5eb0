"""The evaluation of one record: (record, user's state, rule set) to (state, what came of it).

A record is judged as a whole or not at all: where our own code fails on it, its user's state is what it was
before, and the record ends as a failed event.
"""

import traceback
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol

import msgspec
import xxhash

from pipeline.evaluation.failed import failed_event
from pipeline.evaluation.source import FUTURE_MS, Source
from pipeline.evaluation.verdict import Verdict, user_verdict
from pipeline.events import strict_json
from pipeline.events.decode import EventDecoder
from pipeline.events.event import Event, Request
from pipeline.events.invalid import ErrorDetail, InvalidMessageError, lost_opt_out, opt_out_not_recorded
from pipeline.events.model import EVENT_SCHEMA, REQUEST_SCHEMA
from pipeline.rules.account_impossible_travel import place_after
from pipeline.rules.case import Case, event_laws, shown_as_it_is
from pipeline.rules.finding import Finding
from pipeline.rules.ruleset import RuleSet
from pipeline.windows.privacy import PrivacyRecord
from pipeline.windows.user import UserState
from pipeline.windows.window import NEUTRAL, ROLES, Entry

Ending = Literal["judged", "duplicate", "failed", "request", "misplaced"]

_encode_content: Final = msgspec.msgpack.Encoder().encode
_hash: Final = xxhash.xxh3_64_intdigest


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


class Outcome(NamedTuple):
    """What came of one record.

    `event` is None for a failed one and a request; `failed` is the value for `failed-events`; `verdict` and
    `shadow` (ids of rules that fired but are not published) are there for judged events only. `reason` says
    why a record failed.
    """

    ending: Ending
    event: Event | None = None
    late: bool = False
    verdict: Verdict | None = None
    shadow: tuple[str, ...] = ()
    failed: bytes | None = None
    reason: str | None = None


_MISPLACED: Final = Outcome("misplaced")
_REQUEST: Final = Outcome("request")


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

    def judge(self, source: Source, value: bytes | None, users: Users) -> Outcome:
        """Judge a record of a topic of events."""
        event: Event | None = None
        try:
            event = self.decoder.event(value)
            return self._judge_event(source, event, users)
        except InvalidMessageError as invalid:
            return self._failed(invalid, source, value, event, EVENT_SCHEMA)
        except Exception as error:  # noqa: BLE001 - whatever our code fails on is a failed event, not an end
            return self._failed(_processing_error(error), source, value, event, EVENT_SCHEMA)

    def apply(self, source: Source, value: bytes | None, users: Users) -> Outcome:
        """Apply a record of `privacy-requests`, from here on, whatever its timestamp."""
        request: Request | None = None
        try:
            request = self.decoder.request(value)
            _refuse_future(request.time, source)
            state = users.get(request.user_id)
            if state is None:
                if not users.owns(request.user_id):
                    return _MISPLACED
                state = UserState()
            state.privacy = state.privacy.apply(request.type, request.time)
            users[request.user_id] = state
        except InvalidMessageError as invalid:
            return self._failed(invalid, source, value, request, REQUEST_SCHEMA)
        except Exception as error:  # noqa: BLE001 - as in judge
            return self._failed(_processing_error(error), source, value, request, REQUEST_SCHEMA)
        return _REQUEST

    def refuse(self, source: Source, value: bytes, errors: list[ErrorDetail]) -> Outcome:
        """A record that could not even be opened: a failed event of a topic of events."""
        return self._failed(
            InvalidMessageError("schema_violation", errors), source, value, None, EVENT_SCHEMA
        )

    def _judge_event(self, source: Source, event: Event, users: Users) -> Outcome:
        _refuse_future(event.time, source)
        state = users.get(event.user_id)
        if state is None:
            if not users.owns(event.user_id):
                return _MISPLACED
            state = UserState()
        elif state.expired(event.time) and not state.idle(source.timestamp):
            return self._judge_late(source, event, state, users)

        before = (state.stream_time, state.window, state.last_place, state.last_record_time, state.privacy)
        if state.idle(source.timestamp):
            state.start_anew()
        window, time, stream_time = state.window, event.time, state.stream_time
        in_order = stream_time is None or time >= stream_time
        if stream_time is None or time > stream_time:
            stream_time = time
        identity, content = _hash(event.event_id.encode()), _hash(_encode_content(event))
        known = window.find(identity, stream_time)
        if known is not None:
            # A user who started anew has no known events, so that nothing of `before` has changed.
            if known.content == content:
                return Outcome("duplicate", event)
            message = (
                f"event_id {event.event_id!r} stands in the user's window with other content; the first stays"
            )
            raise InvalidMessageError(
                "duplicate_id_conflict", [ErrorDetail("event_id", message, "duplicate_id_conflict")]
            )

        role = ROLES.get(event.type, NEUTRAL)
        entry = Entry(time, identity, content, event.region, event.network, event.device_id, role)
        left_early = window.left_early
        left = window.observe(entry, stream_time)
        try:
            last_place = state.last_place
            state.stream_time = stream_time
            state.last_record_time = source.timestamp
            if event.signals_opt_out:
                state.privacy = _with_signals(state, event)
            if in_order:
                state.last_place = place_after(last_place, event.region, time)
            laws = event_laws(event.region, event.is_eu)
            case = Case(event, laws, window, stream_time, state.privacy, last_place, in_order, self.show)
            findings = [finding for rule in self.ruleset.legal if (finding := rule.judge(case)) is not None]
            behavioural = [
                finding for rule in self.ruleset.behavioural if (finding := rule.judge(case)) is not None
            ]
            if behavioural:
                if window.saturated(stream_time):
                    behavioural = [
                        msgspec.structs.replace(finding, saturated=True) for finding in behavioural
                    ]
                findings += behavioural
            outcome = self._judged(source, event, findings, late=False)
            users[event.user_id] = state
        except BaseException:
            window.undo(entry, left, left_early)
            state.stream_time, state.window, state.last_place, state.last_record_time, state.privacy = before
            raise
        return outcome

    def _judge_late(self, source: Source, event: Event, state: UserState, users: Users) -> Outcome:
        """Judge an event that is too late for the window: by the law only."""
        before = (state.last_record_time, state.privacy)
        try:
            state.last_record_time = source.timestamp
            if event.signals_opt_out:
                state.privacy = _with_signals(state, event)
            laws = event_laws(event.region, event.is_eu)
            case = Case(event, laws, state.window, event.time, state.privacy, in_order=False, show=self.show)
            findings = [finding for rule in self.ruleset.legal if (finding := rule.judge(case)) is not None]
            outcome = self._judged(source, event, findings, late=True)
            users[event.user_id] = state
        except BaseException:
            state.last_record_time, state.privacy = before
            raise
        return outcome

    def _judged(self, source: Source, event: Event, findings: list[Finding], *, late: bool) -> Outcome:
        if not findings:
            return Outcome("judged", event, late)
        shadow: tuple[str, ...] = ()
        if self.ruleset.shadow:
            shadow = tuple(finding.rule_id for finding in findings if finding.rule_id in self.ruleset.shadow)
            findings = [finding for finding in findings if finding.rule_id not in self.ruleset.shadow]
            if not findings:
                return Outcome("judged", event, late, shadow=shadow)
        verdict = user_verdict(
            event, findings, late, source, self.ruleset.version, self.model_version, self.show
        )
        return Outcome("judged", event, late, verdict, shadow)

    def _failed(
        self,
        invalid: InvalidMessageError,
        source: Source,
        value: bytes | None,
        message: Event | Request | None,
        schema: str,
    ) -> Outcome:
        errors = list(invalid.errors)
        if message is not None and message.signals_opt_out:
            errors.append(opt_out_not_recorded(_signal_path(message)))
        elif message is None and invalid.reason == "processing_error":
            errors += _lost_unread(value, on_request_topic=schema == REQUEST_SCHEMA)
        failed = failed_event(invalid.reason, errors, source, value, schema, self._app_version)
        return Outcome("failed", failed=failed, reason=invalid.reason)


def _refuse_future(time: int, source: Source) -> None:
    """Refuse a time ahead of the record's own timestamp; never of the wall clock, so a replay decides alike."""
    timestamp = source.timestamp
    if timestamp is not None and time - timestamp > FUTURE_MS:
        message = (
            f"lies {(time - timestamp) / 1000:.3f} s after the record's timestamp; "
            f"at most {FUTURE_MS // 1000} s are allowed"
        )
        raise InvalidMessageError("future_timestamp", [ErrorDetail("timestamp", message, "future_timestamp")])


def _with_signals(state: UserState, event: Event) -> PrivacyRecord:
    return state.privacy.observe(
        event.time, opt_out=event.do_not_track or event.gpc, deletion=event.deletion_requested
    )


def _signal_path(message: Event | Request) -> str:
    if isinstance(message, Request):
        return "type"
    return next(name for name in ("do_not_track", "gpc", "deletion_requested") if getattr(message, name))


def _processing_error(error: Exception) -> InvalidMessageError:
    frames = traceback.extract_tb(error.__traceback__)
    place = (
        f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno} in {frames[-1].name}"
        if frames
        else ""
    )
    message = f"{type(error).__name__}{place}"
    return InvalidMessageError("processing_error", [ErrorDetail("", message, "processing_error")])


def _lost_unread(value: bytes | None, *, on_request_topic: bool) -> list[ErrorDetail]:
    """The opt-out entry for a message that our code could not even decode."""
    try:
        parsed = strict_json.read_json(value or b"").value
    except ValueError:
        parsed = None
    return lost_opt_out(parsed, on_request_topic)
