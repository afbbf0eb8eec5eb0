"""The accounts of the worker: read from its web server, and compared with what the demo sent and saw."""

from __future__ import annotations

import json
import urllib.error
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from pipeline.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.lab.demo_token import DemoWorker

_PATH = "/stats/accounts"
_SOON = frozenset({401, 503})
"""The statuses of a worker whose tables are not recovered yet, and of a token that has just ended."""


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """Numbers of records by how they ended. Privacy requests and re-keyed records are counted apart."""

    read: int = 0
    judged: int = 0
    duplicate: int = 0
    failed: int = 0
    flagged: int = 0
    late: int = 0
    requests: int = 0
    rekeyed: int = 0

    def since(self, earlier: RecordCounts) -> RecordCounts:
        """What was counted after `earlier`."""
        return RecordCounts(
            **{name: getattr(self, name) - getattr(earlier, name) for name in (f.name for f in fields(self))}
        )


@dataclass(frozen=True, slots=True)
class Status:
    """The accounts at one moment, and the number of records that wait for the worker."""

    accounts: RecordCounts
    lag: int


def read_status(worker: DemoWorker) -> Status | None:
    """Ask the worker; None while it does not answer.

    Raises:
        MissingError: something answers that is not our worker.
    """
    try:
        document: Mapping[str, object] = json.loads(worker.get(_PATH))
    except urllib.error.HTTPError as error:
        if error.code in _SOON:
            return None
        raise MissingError(
            f"{error.url} answers {error.code} {error.reason}, which no worker of ours does"
        ) from error
    except (OSError, ValueError):
        return None
    lag = document.get("lag")
    lags = list(lag.values()) if isinstance(lag, dict) else []
    return Status(
        RecordCounts(**{field.name: _count(document, field.name) for field in fields(RecordCounts)}),
        sum(max(behind, 0) for behind in lags if isinstance(behind, int)),
    )


def _count(document: Mapping[str, object], name: str) -> int:
    value = document.get(name, 0)
    return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True)
class Balance:
    """The accounts of one run beside what was seen from outside.

    Attributes:
        sent: records that the brokers acknowledged to the generator.
        accounts: what the worker counted of them.
        flagged_on_topic: verdicts about users on `flagged-events`, each id once.
        failed_on_topic: failed events on `failed-events`, each id once.
    """

    sent: int
    accounts: RecordCounts
    flagged_on_topic: int
    failed_on_topic: int

    def faults(self) -> list[str]:
        """In words, each pair of numbers that should be equal and is not."""
        accounts = self.accounts
        ended = accounts.judged + accounts.duplicate + accounts.failed
        pairs = (
            ("read", accounts.read, "sent", self.sent),
            ("judged + duplicate + failed", ended, "read", accounts.read),
            ("verdicts on flagged-events", self.flagged_on_topic, "flagged", accounts.flagged),
            ("records on failed-events", self.failed_on_topic, "failed", accounts.failed),
        )
        return [f"{what} = {left}, {other} = {right}" for what, left, other, right in pairs if left != right]

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "sent": self.sent,
                **asdict(self.accounts),
                "flagged_on_topic": self.flagged_on_topic,
                "failed_on_topic": self.failed_on_topic,
                "adds_up": not self.faults(),
            }
        )
