"""How good scores are against the truth: PR-AUC, and recall and precision within a budget of false alarms.

The budget is a share of the harmless scored minutes. So it means the same for every method and for every share of
misuse in the data.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

BUDGET: Final = 0.001
_RESAMPLES: Final = 100
_INTERVAL: Final = (0.025, 0.975)
_LEGAL: Final = ("privacy.", "retention.")

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Figures(NamedTuple):
    """The quality of one set of scores.

    Attributes:
        pr_auc: average precision; a method that knows nothing gets the share of misuse.
        recall: share of the minutes of misuse that alert within the budget.
        precision: share of these alerts that are right; 0 where nothing alerts.
    """

    pr_auc: float
    recall: float
    precision: float


@dataclass(frozen=True)
class Judged:
    """Scored minutes with the truth about them.

    Attributes:
        scores: high is anomalous.
        misuse: whether the minute belongs to somebody who misuses an account.
        users: whose minute it is; minutes of one user are drawn together.
    """

    scores: Scores
    misuse: Flags
    users: Sequence[str]


def figures(scores: Scores, misuse: Flags, weights: Scores | None = None, budget: float = BUDGET) -> Figures:
    """The quality of scores.

    Args:
        scores: by minute; high is anomalous.
        misuse: by minute, the truth.
        weights: by minute, how often it counts; default once.
        budget: share of the harmless minutes that may alert.

    Raises:
        ValueError: there is no misuse, or nothing else.
    """
    weight = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    right = np.cumsum(np.where(misuse, weight, 0)[order])
    wrong = np.cumsum(np.where(misuse, 0, weight)[order])
    if not len(scores) or not right[-1] or not wrong[-1]:
        raise ValueError("there are minutes of misuse only, or none of them")
    # Minutes of one score alert together, or not at all.
    last = np.append(ranked[1:] != ranked[:-1], True)
    right, wrong = right[last], wrong[last]
    alerts = right + wrong
    precision = np.divide(right, alerts, out=np.zeros_like(right), where=alerts > 0)
    recall = right / right[-1]
    pr_auc = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    within = int(np.searchsorted(wrong, budget * wrong[-1], side="right")) - 1
    if within < 0:
        return Figures(pr_auc, 0.0, 0.0)
    return Figures(pr_auc, float(recall[within]), float(precision[within]))


def interval(runs: Sequence[Judged], seed: int = 1) -> tuple[Figures, Figures, Figures]:
    """The mean quality over runs of several seeds, and the bounds of its 95 % bootstrap interval.

    Each resample draws the users of every run anew, because the minutes of one user resemble each other.
    """
    chance = np.random.default_rng(seed)
    numbers = [np.unique(run.users, return_inverse=True)[1] for run in runs]
    resamples: list[NDArray[np.float64]] = []
    for _ in range(_RESAMPLES):
        means = []
        for run, number in zip(runs, numbers, strict=True):
            users = int(number.max()) + 1
            drawn = np.bincount(chance.integers(users, size=users), minlength=users).astype(np.float64)
            try:
                means.append(figures(run.scores, run.misuse, drawn[number]))
            except ValueError:
                # Chance drew nobody who misuses an account, so this run says nothing here.
                continue
        if means:
            resamples.append(np.mean(means, axis=0))
    mean = np.mean([figures(run.scores, run.misuse) for run in runs], axis=0)
    low, high = np.quantile(resamples, _INTERVAL, axis=0)
    return Figures(*mean.tolist()), Figures(*low.tolist()), Figures(*high.tolist())


class Label(msgspec.Struct, frozen=True):
    """What one line of labels says of a user; other lines, about messages, titles and devices, have no story."""

    label: str
    id: str = ""
    kind: str = ""
    harmful: bool = False
    expect: dict[str, str] = {}


def kinds_of_users(labels: Iterable[Label]) -> dict[str, tuple[str, bool]]:
    """By user, the kind of its story and whether it misuses an account, from the labels of `ott generate`.

    Whoever is harmful only to the law (no consent, an ignored opt-out) behaves like everybody else, and is no misuse.
    """
    return {
        label.id: (label.kind, label.harmful and not any(rule.startswith(_LEGAL) for rule in label.expect))
        for label in labels
        if label.label == "user"
    }
