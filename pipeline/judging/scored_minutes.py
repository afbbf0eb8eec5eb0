"""The scored minutes of a file of records: what a model is trained and evaluated on.

The file is judged with the evaluation of the live agent, and a window becomes a row exactly when the live agent
would score it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import xxhash

from pipeline.anomaly.features import FEATURES, Rows, UserWindow, WindowEvent, kind_code
from pipeline.anomaly.scoring import MINUTE_MS, Due, NotEvaluated, Score, rows_of, scoring_of
from pipeline.anomaly.training import Minutes
from pipeline.evaluation.evaluator import Evaluator
from pipeline.events.event import Event
from pipeline.judging.file import AllUsers
from pipeline.judging.lines import Line, read_line
from pipeline.rules.account_concurrent_streams import ConcurrentStreams
from pipeline.rules.finding import LEGAL, POINTS
from pipeline.windows.user import UserState

_BATCH: Final = 512
_COLLECTING: Final = "collecting"
"""Stands for a model version while there is no model yet."""


@dataclass
class ScoredMinutes:
    """Rows as they are collected.

    Attributes:
        users: by row, the user.
        minutes: by row, the event-time minute, in minutes since 1970.
        rule_points: by row, the points of the behavioural findings on its event.
        events: judged events in all.
        left_out: judged events without a row, by reason.
    """

    users: list[str] = field(default_factory=list)
    minutes: list[int] = field(default_factory=list)
    rule_points: list[int] = field(default_factory=list)
    events: int = 0
    left_out: dict[NotEvaluated, int] = field(default_factory=dict)
    _rows: list[Rows] = field(default_factory=list)

    def data(self) -> Minutes:
        """Everything collected."""
        rows = np.concatenate(self._rows) if self._rows else np.empty((0, len(FEATURES)), np.float32)
        return Minutes(rows, self.users, np.array(self.minutes, dtype=np.int64))


class MinuteCollector:
    """Judges lines and collects the windows that are due.

    Args:
        evaluator: the rules to judge by; their findings stand beside the rows.
        topic_prefix: of topic names in the file.
    """

    def __init__(self, evaluator: Evaluator, topic_prefix: str = "") -> None:
        self.collected = ScoredMinutes()
        self._evaluator = evaluator
        self._topic_prefix = topic_prefix
        self._users = AllUsers()
        self._last: dict[str, Score] = {}
        # An entry of a window holds neither type nor title, so the events are kept beside it, by identity.
        self._seen: dict[str, dict[int, WindowEvent]] = {}
        self._limits = ConcurrentStreams()
        self._pending: list[tuple[str, int, UserWindow]] = []

    def collect(self, lines: Iterable[bytes]) -> ScoredMinutes:
        """Judge lines in the order of arrival and return what came of all lines so far."""
        for index, line in enumerate(lines):
            self._take(read_line(line, index, self._topic_prefix))
        self._flush()
        return self.collected

    def _take(self, line: Line) -> None:
        if line.unopened:
            return
        if line.is_request:
            self._evaluator.apply(line.record, self._users)
            return
        outcome = self._evaluator.judge(line.record, self._users)
        event = outcome.event
        if outcome.ending != "judged" or event is None:
            return
        self.collected.events += 1
        if outcome.late:
            self._leave_out(NotEvaluated.LATE)
            return
        state = self._users[event.user_id]
        assert state.stream_time is not None
        self._remember(event, state)
        due = scoring_of(
            self._last.get(event.user_id),
            _COLLECTING,
            event.time,
            len(state.window),
            in_order=event.time == state.stream_time,
        )
        if isinstance(due, NotEvaluated):
            self._leave_out(due)
            self._last.pop(event.user_id, None)
        elif due is Due.SCORE:
            verdict = outcome.verdict
            found = () if verdict is None else verdict.findings
            points = sum(POINTS[one.severity] for one in found if one.dimension not in LEGAL)
            self._last[event.user_id] = Score(event.time // MINUTE_MS, 0, _COLLECTING)
            self._pending.append((event.user_id, points, self._window(event, state)))
            if len(self._pending) >= _BATCH:
                self._flush()

    def _remember(self, event: Event, state: UserState) -> None:
        seen = self._seen.setdefault(event.user_id, {})
        title = (
            0
            if event.content_id is None
            else xxhash.xxh3_64_intdigest(event.content_id.encode()) & 0xFFFFFFFF
        )
        kind = kind_code(event.type, failed=bool(event.error_code))
        seen[xxhash.xxh3_64_intdigest(event.event_id.encode())] = WindowEvent(
            event.time, kind, title, event.region, event.network, event.device_id
        )
        if len(seen) > 2 * len(state.window) + 64:
            kept = {entry.identity for entry in state.window.entries}
            self._seen[event.user_id] = {one: two for one, two in seen.items() if one in kept}

    def _window(self, event: Event, state: UserState) -> UserWindow:
        seen = self._seen[event.user_id]
        events = [seen[entry.identity] for entry in state.window.entries]
        assert state.stream_time is not None
        limits = self._limits
        limit = limits.plan_limits.get(event.plan or "", limits.unknown_plan_limit)
        return UserWindow(state.stream_time, events, limit)

    def _leave_out(self, reason: NotEvaluated) -> None:
        self.collected.left_out[reason] = self.collected.left_out.get(reason, 0) + 1

    def _flush(self) -> None:
        if not self._pending:
            return
        users, points, windows = zip(*self._pending, strict=True)
        self._pending.clear()
        rows, failed = rows_of(windows)
        good = [not broken for broken in failed]
        collected = self.collected
        collected._rows.append(rows[good])  # noqa: SLF001 - of the same module
        for user, point, window, kept in zip(users, points, windows, good, strict=True):
            if kept:
                collected.users.append(user)
                collected.minutes.append(window.stream_time // MINUTE_MS)
                collected.rule_points.append(point)
            else:
                self._leave_out(NotEvaluated.FAILED)
