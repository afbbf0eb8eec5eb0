"""`content.error_rate`: a title fails too often. It looks at the counts of an hour over all users."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.rules.error_rate import ErrorRate


@dataclass(frozen=True, slots=True)
class ContentErrorRate(ErrorRate):
    """`ErrorRate` of one title, over all users."""

    rule_id: ClassVar[str] = "content.error_rate"
    subject_type: ClassVar[str] = "content"
    runbook: ClassVar[str] = (
        "Check the most frequent error codes and regions in the evidence: one region points to delivery, all "
        "regions to the title's files or licences. Mend or withdraw the title; leave it where the error rate "
        "falls and the alert closes by itself."
    )
