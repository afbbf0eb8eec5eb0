"""The table of docs/models.md: several methods on unseen users, seeds and stories, over several seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline import __version__
from pipeline.anomaly.quality import BUDGET, Figures, Judged, interval
from pipeline.evaluation.evaluator import Evaluator
from pipeline.judging.scored_minutes import MinuteCollector
from pipeline.lab.generator.casts import MISUSE, Stories
from pipeline.lab.generator.schedule import PastSchedule
from pipeline.lab.generator.stream import EventStream, Plan
from pipeline.lab.generator.world import HOUR_MS
from pipeline.lab.models.methods import UNSUPERVISED, Scorer, supervised
from pipeline.rules.ruleset import built_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pipeline.anomaly.quality import Flags, Scores
    from pipeline.anomaly.training import Minutes

SEEDS: Final = (11, 12, 13, 14, 15)
"""No parameter was chosen with them."""
RULES: Final = "rules only"
SUPERVISED: Final = "supervised (upper bound)"
USERS, OTHER_SEEDS, STORIES = "unseen users", "unseen seeds", "unseen stories"

_START_MS: Final = 1_772_323_200_000  # 2026-03-01T00:00:00Z
_AUDIENCE: Final = 3_000
_EVERYDAY_RISK: Final = 0.15
_TEST_RISK: Final = 0.3
# Seeds of the test streams: each is far from those of the training.
_OTHER, _UNSEEN = 1_000, 2_000
_THIN: Final = 2
"""One test minute in so many is scored: neighbours share almost the whole window."""


@dataclass(frozen=True)
class Sample:
    """The scored minutes of one generated day, with the truth."""

    data: Minutes
    kinds: NDArray[np.str_]
    points: Scores

    @property
    def misuse(self) -> Flags:
        """By minute, whether its user misuses an account."""
        return np.isin(self.kinds, sorted(MISUSE))

    def only(self, chosen: NDArray[np.intp]) -> Sample:
        """Some of the minutes."""
        data = self.data
        part = type(data)(data.rows[chosen], [data.users[n] for n in chosen.tolist()], data.minutes[chosen])
        return Sample(part, self.kinds[chosen], self.points[chosen])


@dataclass
class Comparison:
    """What came of all seeds.

    Attributes:
        runs: by test set and method, the scores of each seed.
        by_kind: by test set and kind of story, the share of its minutes that alert in the isolation forest within
            the budget, of each seed.
    """

    runs: dict[str, dict[str, list[Judged]]] = field(default_factory=dict)
    by_kind: dict[str, dict[str, list[float]]] = field(default_factory=dict)


def generated(seed: int, stories: Stories, events: int, risk_share: float) -> Sample:
    """The scored minutes of a generated day."""
    schedule = PastSchedule(_START_MS, _START_MS + 24 * HOUR_MS, events)
    plan = Plan(
        seed=seed,
        schedule=schedule,
        users=_AUDIENCE,
        stories=stories,
        risk_share=risk_share,
        with_topic=False,
        stamped_on_arrival=False,
    )
    kinds: dict[str, str] = {}

    def lines() -> Iterator[bytes]:
        for record in EventStream(plan):
            kinds[record.who.user.user_id] = record.who.persona.kind
            yield record.value or b""

    collected = MinuteCollector(Evaluator(built_in(), __version__)).collect(lines())
    data = collected.data()
    points = np.array(collected.rule_points, dtype=np.float64)
    return Sample(data, np.array([kinds[user] for user in data.users]), points)


def compare(seeds: tuple[int, ...], events: int, tell: Callable[[str], None]) -> Comparison:
    """Train and score every method for every seed.

    Args:
        seeds: of the training streams.
        events: of a training day; the test days have half as many.
        tell: is told what is going on.
    """
    comparison = Comparison()
    for seed in seeds:
        tell(f"seed {seed}: generating")
        everyday = generated(seed, Stories.EVERYDAY, events, _EVERYDAY_RISK)
        labelled = generated(seed, Stories.QUIET, events // 2, _TEST_RISK)
        held_out = labelled.data.held_out
        learned, tested = labelled.only(np.flatnonzero(~held_out)), labelled.only(np.flatnonzero(held_out))
        tests = {
            USERS: tested,
            OTHER_SEEDS: generated(seed + _OTHER, Stories.QUIET, events // 2, _TEST_RISK),
            STORIES: generated(seed + _UNSEEN, Stories.UNSEEN, events // 2, _TEST_RISK),
        }
        tests = {name: test.only(np.arange(0, len(test.points), _THIN)) for name, test in tests.items()}
        fitting, _ = everyday.data.split()
        rows = everyday.data.rows[fitting]
        for name, method in UNSUPERVISED.items():
            tell(f"seed {seed}: {name}")
            _add(comparison, name, method(rows, seed), tests)
        _add(comparison, SUPERVISED, supervised(learned.data.rows, learned.misuse, seed), tests)
        for name, test in tests.items():
            runs = comparison.runs[name].setdefault(RULES, [])
            runs.append(Judged(test.points, test.misuse, test.data.users))
    return comparison


def _add(comparison: Comparison, method: str, score: Scorer, tests: dict[str, Sample]) -> None:
    for name, test in tests.items():
        scores = score(test.data.rows)
        judged = Judged(scores, test.misuse, test.data.users)
        comparison.runs.setdefault(name, {}).setdefault(method, []).append(judged)
        if method == next(iter(UNSUPERVISED)):
            _count_kinds(comparison.by_kind.setdefault(name, {}), test, scores)


def _count_kinds(by_kind: dict[str, list[float]], test: Sample, scores: Scores) -> None:
    harmless = np.sort(scores[~test.misuse])
    alerts = scores > harmless[len(harmless) - 1 - int(BUDGET * len(harmless))]
    for kind in np.unique(test.kinds).tolist():
        by_kind.setdefault(kind, []).append(float(alerts[test.kinds == kind].mean()))


def as_markdown(comparison: Comparison) -> str:
    """The tables of docs/models.md."""
    names = (USERS, OTHER_SEEDS, STORIES)
    head = "| method | " + " | ".join(f"{name}: PR-AUC | recall" for name in names) + " |"
    lines = [head, "|---" * (1 + 2 * len(names)) + "|"]
    lines.extend(
        f"| {method} | " + " | ".join(_cells(comparison.runs[name][method]) for name in names) + " |"
        for method in (RULES, *UNSUPERVISED, SUPERVISED)
    )
    shares = ", ".join(
        f"{name} {np.mean([run.misuse.mean() for run in comparison.runs[name][RULES]]):.1%}" for name in names
    )
    lines += ["", f"Share of misuse among the minutes, which is the PR-AUC of pure chance: {shares}.", ""]
    lines += [
        "| story | | share of its minutes that alert, unseen seeds | unseen stories |",
        "|---|---|---|---|",
    ]
    kinds = {kind for name in (OTHER_SEEDS, STORIES) for kind in comparison.by_kind[name]}
    for kind in sorted(kinds, key=lambda kind: (kind not in MISUSE, kind)):
        cells = (_mean(comparison.by_kind[name].get(kind, [])) for name in (OTHER_SEEDS, STORIES))
        lines.append(f"| {kind} | {'misuse' if kind in MISUSE else 'harmless'} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(runs: list[Judged]) -> str:
    mean, low, high = interval(runs)
    return " | ".join(_cell(mean, low, high, name) for name in ("pr_auc", "recall"))


def _cell(mean: Figures, low: Figures, high: Figures, name: str) -> str:
    return f"{getattr(mean, name):.2f} ({getattr(low, name):.2f}-{getattr(high, name):.2f})"


def _mean(shares: list[float]) -> str:
    return f"{np.mean(shares):.1%}" if shares else ""
