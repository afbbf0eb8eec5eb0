"""What the demo writes to standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from pipeline.cli.rendering import printable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from pipeline.cli.demo.accounts import Status

_RULES_SHOWN = 6


def say(message: str) -> None:
    """Write one line with the time of day."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {message}\n")
    sys.stderr.flush()


def status_line(status: Status, by_rule: Counter[str], per_second: float) -> str:
    """One line: events a second, how they ended, and what was flagged by which rule."""
    accounts = status.accounts
    shown = [f"{rule} {count:,}" for rule, count in by_rule.most_common(_RULES_SHOWN)]
    left_out = len(by_rule) - len(shown)
    rules = ", ".join(shown) + (f" and {left_out} more" if left_out > 0 else "")
    behind = f", {status.lag:,} waiting" if status.lag else ""
    return (
        f"{per_second:,.0f} events/s: {accounts.read:,} read = {accounts.judged:,} judged + "
        f"{accounts.duplicate:,} duplicate + {accounts.failed:,} failed{behind}; "
        f"{accounts.flagged:,} flagged" + (f" ({rules})" if rules else "")
    )


def verdict_in_words(verdict: Mapping[str, Any]) -> Iterator[str]:
    """An example verdict and its reasons, one line each."""
    subject = verdict.get("subject")
    subject = subject if isinstance(subject, dict) else {}
    who = printable(f"{subject.get('type')} {subject.get('id')}")
    yield f"for example: {who} is {verdict.get('risk_level')} (score {verdict.get('score')}), because"
    for finding in verdict.get("findings", []):
        if isinstance(finding, dict):
            yield printable(f"    {finding.get('rule_id')}: {finding.get('summary')}")
