"""The evaluation of one record: (record, user's state, rule set) to (new state, outcome).

A record is judged as a whole or not at all. Where our own code fails on it, its user's state stays what it was before,
and the record becomes a failed event.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec
import xxhash

from pipeline.anomaly.artefact import Model
from pipeline.anomaly.features import Rows, Whole, pack_row, row_of
from pipeline.anomaly.scoring import Due, NotEvaluated, OnScored, score_rows, scoring_of
from pipeline.evaluation.failed import failed_event
from pipeline.evaluation.failures import (
    duplicate_id_conflict,
    future_timestamp,
    opt_out_lost_with,
    processing_error,
    unreadable_batch,
)
from pipeline.evaluation.findings import add_activity_findings, legal_findings
from pipeline.evaluation.source import FUTURE_MS, NO_TIMESTAMP, Record, source_of
from pipeline.evaluation.verdict import Verdict, encode_verdict, user_verdict
from pipeline.events.decode import EventDecoder
from pipeline.events.event import Event, Request
from pipeline.events.invalid import ErrorDetail, InvalidMessageError
from pipeline.events.model import EVENT_SCHEMA, REQUEST_SCHEMA
from pipeline.rules.account_concurrent_streams import ConcurrentStreams
from pipeline.rules.account_impossible_travel import place_after
from pipeline.rules.finding import Finding
from pipeline.rules.inputs import Activity, ScoredHour, shown_as_it_is
from pipeline.rules.ruleset import RuleSet
from pipeline.windows.entry import FAILS, KINDS, PLAYS, RELEASES, ROLES, START_FAILS, Entry
from pipeline.windows.privacy import PrivacyRecord
from pipeline.windows.score import Score
from pipeline.windows.user import LastEvent, LastPlace, UserState
from pipeline.windows.window import WINDOW_MS, Window

Ending = Literal["judged", "duplicate", "failed", "request", "misplaced"]

_encode_content: Final = msgspec.msgpack.Encoder().encode
_hash: Final = xxhash.xxh3_64_intdigest
_hash_32: Final = xxhash.xxh32_intdigest
_STREAMS: Final = ConcurrentStreams()
_new_tuple: Final = tuple.__new__  # much faster than a named tuple's own constructor, which is a Python call


class Users(Protocol):
    """The states of users, as the evaluation reads and writes them. Live it is `tables.risk.UnitUsers`."""

    def get(self, user_id: str, /) -> UserState | None:
        """The state of a user; None for a new one."""
        ...

    def __setitem__(self, user_id: str, state: UserState, /) -> None:
        """Write a state that changed. It may be the object that `get` gave."""
        ...

    def owns(self, user_id: str, /) -> bool:
        """Whether this user's state belongs here. The evaluation asks it for new users only."""
        ...


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The result of one record.

    Attributes:
        ending: how the record ended. The other fields are set only where a line below says so.
        event: for judged events and duplicates.
        late: for judged events: whether the event was too old for the window.
        watched: for judged events: how long the device played up to the event, in milliseconds (`Window.watched`).
        start_failed: for judged events: whether the event reports a failed start (`Window.only_started`).
        score: for judged events: the score of the anomaly model that holds for the event.
        not_evaluated: for judged events without a score: why there is none.
        saturated: for judged events with a score: whether the window is saturated.
        verdict: for judged events with published findings.
        published: the bytes of `verdict`.
        shadow: for judged events: the ids of shadow rules that fired.
        failed: for failed records: the value for `failed-events`.
        reason: for failed records: why the record failed.
        user_id: for misplaced records: the user, whose id says where the record belongs.
        request: for privacy requests that were applied.
        started_anew: for judged events: whether the user had been idle, so that window and last place were erased.
        erased_region: with `started_anew`: the region of the last place that was erased.
    """

    ending: Ending
    event: Event | None = None
    late: bool = False
    watched: int = 0
    start_failed: bool = False
    score: Score | None = None
    not_evaluated: NotEvaluated | None = None
    saturated: bool = False
    verdict: Verdict | None = None
    published: bytes | None = None
    shadow: tuple[str, ...] = ()
    failed: bytes | None = None
    reason: str | None = None
    user_id: str | None = None
    request: Request | None = None
    started_anew: bool = False
    erased_region: str | None = None


class Evaluator:
    """Judges records under one rule set and one anomaly model.

    Args:
        ruleset: the rules. The attribute may be replaced between batches.
        app_version: what failed events name.
        model: the anomaly model; None without one. The attribute may be replaced between batches.
        show: gives the form of user and device ids in verdicts: a keyed hash where a pseudonym key is configured.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        app_version: str,
        model: Model | None = None,
        show: Callable[[str], str] = shown_as_it_is,
    ) -> None:
        self.ruleset = ruleset
        self.model = model
        self.without_model = NotEvaluated.NO_MODEL
        """Why events have no score where `model` is None."""
        self.on_scored: OnScored = _ignore
        """Gets what the model scored, once for each batch."""
        self.show = show
        self.decoder = EventDecoder()
        self._app_version = app_version
        # The scores of this batch that the model has not computed yet, and the features of their windows.
        self._due: list[Score] = []
        self._rows: list[bytes] = []

    def judge(self, record: Record, users: Users) -> Outcome:
        """Judge a record of a topic of events."""
        return self.judge_batch((record,), users)[0]

    def judge_batch(self, records: Sequence[Record], users: Users) -> list[Outcome]:
        """Judge records of one partition of a topic of events, in order.

        The outcomes do not depend on how the records are divided into batches. The model scores the windows of a batch
        together, because one by one takes ten times as long. So all other rules judge the records first. Then the
        events whose user's hour is an anomaly get that finding, too.
        """
        self._due.clear()
        self._rows.clear()
        outcomes = [self._judge(record, users) for record in records]
        model = self.model
        if model is None:
            return outcomes
        if self._due:
            score_rows(model, self._due, self._rows, self.on_scored)
        for number, outcome in enumerate(outcomes):
            score = outcome.score
            if score is not None and score.causes:
                outcomes[number] = self._with_anomaly(records[number], outcome, ScoredHour(model, score))
        return outcomes

    def _judge(self, record: Record, users: Users) -> Outcome:
        event: Event | None = None
        try:
            event = self.decoder.event(record.value)
            return self._judge_event(record, event, users)
        except InvalidMessageError as invalid:
            return self._failed(invalid, record, event, EVENT_SCHEMA)
        except Exception as error:  # noqa: BLE001 - an error in our code must not stop the partition
            return self._failed(processing_error(error), record, event, EVENT_SCHEMA)

    def apply(self, record: Record, users: Users) -> Outcome:
        """Apply a record of `privacy-requests`. It holds from here on, whatever its timestamp."""
        request: Request | None = None
        try:
            request = self.decoder.request(record.value)
            if record.timestamp >= 0 and request.time - record.timestamp > FUTURE_MS:
                raise future_timestamp(request.time, record.timestamp)  # noqa: TRY301 - one exit for all failures
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
            return self._failed(processing_error(error), record, request, REQUEST_SCHEMA)
        return Outcome("request", request=request)

    def refuse(self, record: Record, errors: list[ErrorDetail]) -> Outcome:
        """The outcome of a line of a file whose envelope cannot be opened."""
        return self._failed(InvalidMessageError("schema_violation", errors), record, None, EVENT_SCHEMA)

    def poisoned(self, record: Record, error: Exception, *, request: bool) -> Outcome:
        """The outcome of a record on which our code failed outside of `judge` and `apply`."""
        schema = REQUEST_SCHEMA if request else EVENT_SCHEMA
        return self._failed(processing_error(error), record, None, schema)

    def unreadable(self, first: Record, message: str, *, request: bool) -> Outcome:
        """The outcome of a batch of records that cannot be read at all.

        Args:
            first: the first record of the batch, without key and value.
            message: which offsets, and what is wrong with them.
            request: whether the batch is on the topic of privacy requests.
        """
        schema = REQUEST_SCHEMA if request else EVENT_SCHEMA
        return self._failed(unreadable_batch(message), first, None, schema)

    def _judge_event(  # noqa: C901, PLR0912, PLR0915 - one path, read from top to bottom, on every event
        self, record: Record, event: Event, users: Users
    ) -> Outcome:
        time, record_time = event.time, record.timestamp
        if record_time < 0:
            record_time = NO_TIMESTAMP
        elif time - record_time > FUTURE_MS:
            raise future_timestamp(time, record_time)
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
            raise duplicate_id_conflict(event)
        privacy = state.privacy
        if event.signals_opt_out:
            privacy = privacy.observe(event)
        device, kind = event.device_id, KINDS[event.type]
        if event.error_code:
            kind += 1
        role = ROLES[kind]
        watched, start_failed = 0, role == START_FAILS
        if role == PLAYS or role == RELEASES or role == FAILS:  # noqa: PLR1714, SIM109 - a set is slower, on every event
            watched = window.watched(device, time)
            if (event.error_code or role == FAILS) and event.is_playback:
                start_failed = window.only_started(device, time)
        title = 0 if event.content_id is None else _hash_32(event.content_id.encode())
        fields = (time, identity, content, event.region, event.network, device, kind, title)
        entry: Entry = _new_tuple(Entry, fields)
        last_score = state.score if window is state.window else None
        left_early = window.left_early
        left = window.observe(entry, stream_time)
        # The state must not change before everything that can fail is done. The window has changed, but it can undo.
        try:
            findings = self._legal_findings(event, privacy)
            activity = Activity(
                window, stream_time, event.region, time, event.plan, last_place, in_order, self.show
            )
            add_activity_findings(findings, self.ruleset, activity)
            score, not_evaluated = self._score_of(last_score, time, len(window), in_order)
            outcome = self._judged(
                record,
                event,
                findings,
                late=False,
                watched=watched,
                start_failed=start_failed,
                score=score,
                not_evaluated=not_evaluated,
                saturated=score is not None and window.saturated(stream_time),
            )
            if in_order:
                last_event = _last_event(event, last_place)
                last_place = place_after(last_place, event.region, time)
        except BaseException:
            window.undo(entry, left, left_early)
            raise
        if window is not state.window:
            erased = state.last_place
            outcome = msgspec.structs.replace(
                outcome, started_anew=True, erased_region=None if erased is None else erased.region
            )
        state.stream_time = stream_time
        state.window = window
        state.last_place = last_place
        state.last_event = last_event
        state.last_record_time = record_time
        state.privacy = privacy
        state.score = score
        users[event.user_id] = state
        if score is not None and score is not last_score:
            self._score_later(score, window, event.plan)
        return outcome

    def _score_of(
        self, last: Score | None, time: int, events: int, in_order: bool
    ) -> tuple[Score | None, NotEvaluated | None]:
        """The score that holds from an event on, or why there is none. A new one is computed with the batch."""
        model = self.model
        if model is None:
            return None, self.without_model
        if not self.ruleset.by_score:
            return None, NotEvaluated.RULE_OFF
        due = scoring_of(last, model.version, time, events, in_order=in_order)
        if due is Due.REPEAT:
            return last, None
        # An event in order is at the stream time.
        return (Score(time, model.version), None) if due is Due.SCORE else (None, due)

    def _score_later(self, score: Score, window: Window, plan: str | None) -> None:
        """Take down the features of a window, which changes with the next event, to score it with the batch."""
        try:
            row = pack_row(row_of(window, score.time, streams_allowed(plan)))
        except Exception:  # noqa: BLE001 - an error in our code costs this window its score, and nothing else
            return
        self._due.append(score)
        self._rows.append(row)

    def _with_anomaly(self, record: Record, outcome: Outcome, scored: ScoredHour) -> Outcome:
        """The outcome of an event with the findings of the rules on scores."""
        ruleset, event, before = self.ruleset, outcome.event, outcome.verdict
        assert event is not None
        found = [finding for judge in ruleset.by_score if (finding := judge(scored)) is not None]
        if outcome.saturated:
            found = [msgspec.structs.replace(finding, saturated=True) for finding in found]
        findings = [*(() if before is None else before.findings), *found]
        judged = self._judged(
            record,
            event,
            findings,
            outcome.late,
            outcome.watched,
            outcome.start_failed,
            outcome.score,
            saturated=outcome.saturated,
        )
        return msgspec.structs.replace(
            judged,
            shadow=outcome.shadow + judged.shadow,
            started_anew=outcome.started_anew,
            erased_region=outcome.erased_region,
        )

    def _judge_late(self, record: Record, event: Event, state: UserState, users: Users) -> Outcome:
        """Judge an event that is too old for the window. Only the legal rules look at it."""
        privacy = state.privacy.observe(event) if event.signals_opt_out else state.privacy
        findings = self._legal_findings(event, privacy)
        outcome = self._judged(record, event, findings, late=True, not_evaluated=NotEvaluated.LATE)
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
        score: Score | None = None,
        not_evaluated: NotEvaluated | None = None,
        saturated: bool = False,
    ) -> Outcome:
        ending: Ending = "judged"
        known = (ending, event, late, watched, start_failed, score, not_evaluated, saturated)
        if not findings:
            return Outcome(*known)
        ruleset = self.ruleset
        shadow: tuple[str, ...] = ()
        if ruleset.shadow:
            shadow = tuple(finding.rule_id for finding in findings if finding.rule_id in ruleset.shadow)
            findings = [finding for finding in findings if finding.rule_id not in ruleset.shadow]
            if not findings:
                return Outcome(*known, shadow=shadow)
        source = source_of(record)
        version = None if self.model is None else self.model.version
        verdict = user_verdict(event, findings, late, source, ruleset.version, version, self.show)
        return Outcome(*known, verdict, encode_verdict(verdict), shadow)

    def _failed(
        self,
        invalid: InvalidMessageError,
        record: Record,
        message: Event | Request | None,
        schema: str,
    ) -> Outcome:
        errors = list(invalid.errors)
        if message is not None or invalid.reason in {"processing_error", "unreadable_batch"}:
            # The decoder looks for a lost opt-out in messages that it refuses. It did not refuse this one.
            errors += opt_out_lost_with(record.value, on_request_topic=schema == REQUEST_SCHEMA)
        value = failed_event(
            invalid.reason, errors, source_of(record), record.value, schema, self._app_version
        )
        return Outcome("failed", failed=value, reason=invalid.reason)


def streams_allowed(plan: str | None) -> int:
    """The streams that a plan allows at once, for the features of the anomaly model.

    They are not those of the rule set in force: a model knows the numbers that it was trained with.
    """
    return _STREAMS.plan_limits.get(plan or "", _STREAMS.unknown_plan_limit)


def _ignore(model: Model, rows: Rows, paths: Whole, minutes: Whole) -> None:
    pass


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
    last_event: LastEvent = _new_tuple(LastEvent, fields)
    return last_event
