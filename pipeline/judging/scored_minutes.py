"""The scored minutes of a file of records: what a model is trained and evaluated on.

The file is judged with the evaluation of the live agent, and a window becomes a row exactly when the live agent
would score it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pipeline.anomaly.features import FEATURES, Row, row_of
from pipeline.anomaly.scoring import Due, NotEvaluated, scoring_of
from pipeline.anomaly.training import Minutes
from pipeline.evaluation.evaluator import Evaluator, streams_allowed
from pipeline.judging.file import AllUsers
from pipeline.judging.lines import Line, read_line
from pipeline.rules.finding import LEGAL, POINTS
from pipeline.windows.score import Score
from pipeline.windows.tally import MINUTE_MS

_COLLECTING: Final = "collecting"
"""Stands for a model version while there is no model yet."""


@dataclass
class ScoredMinutes:
    """Rows as they are collected.

    Attributes:
        users: by row, the user.
        minutes: by row, the event-time minute, in minutes since 1970.
        rows: the features.
        rule_points: by row, the points of the behavioural findings on its event.
        events: judged events in all.
        left_out: judged events without a row, by reason.
    """

    users: list[str] = field(default_factory=list)
    minutes: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    rule_points: list[int] = field(default_factory=list)
    events: int = 0
    left_out: dict[NotEvaluated, int] = field(default_factory=dict)

    def data(self) -> Minutes:
        """Everything collected."""
        rows = np.array(self.rows, dtype=np.float32).reshape(len(self.rows), len(FEATURES))
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

    def collect(self, lines: Iterable[bytes]) -> ScoredMinutes:
        """Judge lines in the order of arrival and return what came of all lines so far."""
        for index, line in enumerate(lines):
            self._take(read_line(line, index, self._topic_prefix))
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
        in_order = event.time == state.stream_time
        due = scoring_of(
            self._last.get(event.user_id), _COLLECTING, event.time, len(state.window), in_order=in_order
        )
        if isinstance(due, NotEvaluated):
            self._leave_out(due)
            self._last.pop(event.user_id, None)
        elif due is Due.SCORE:
            self._last[event.user_id] = Score(event.time, _COLLECTING)
            verdict = outcome.verdict
            found = () if verdict is None else verdict.findings
            collected = self.collected
            collected.users.append(event.user_id)
            collected.minutes.append(event.time // MINUTE_MS)
            collected.rule_points.append(
                sum(POINTS[one.severity] for one in found if one.dimension not in LEGAL)
            )
            collected.rows.append(row_of(state.window, event.time, streams_allowed(event.plan)))

    def _leave_out(self, reason: NotEvaluated) -> None:
        self.collected.left_out[reason] = self.collected.left_out.get(reason, 0) + 1
