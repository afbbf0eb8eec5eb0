"""`anomaly.isolation_forest`: a user's hour is unlike most hours. It looks at the score of the anomaly model."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from pipeline.anomaly.explanation import METHOD, evidence_of, in_words
from pipeline.rules.finding import Dimension, Finding
from pipeline.rules.inputs import NO_OTHERS, ScoredHour, bounds_of


@dataclass(frozen=True, slots=True)
class IsolationForest:
    """Fires where the score is above the threshold that was calibrated when the model was trained."""

    rule_id: ClassVar[str] = "anomaly.isolation_forest"
    dimension: ClassVar[Dimension] = "anomaly"
    looks_at: ClassVar[Literal["score"]] = "score"
    runbook: ClassVar[str] = (
        "Check the three features that the finding names against the user's hour: an unusual hour is no proof of "
        "misuse. Compare it with the other findings on the user; leave it where a habit explains it. Where many "
        "users are flagged at once, look at the model's drift first."
    )
    __pydantic_config__: ClassVar[ConfigDict] = NO_OTHERS

    def judge(self, scored: ScoredHour) -> Finding | None:
        """The finding. Its window is the one that was scored, which may have ended before the event."""
        model, score = scored
        return Finding(
            self.rule_id,
            self.dimension,
            "MEDIUM",
            (),
            in_words(model, score.causes),
            {
                "score": round(model.forest.score(score.paths), 4),
                "threshold": round(model.threshold, 4),
                "features": evidence_of(model, score.causes),
                "attribution": METHOD,
                **bounds_of(score.time),
            },
        )
