"""`/rules`: shows the rule set and where it is in force, and publishes another one."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipeline.coordination.rule_config import KEY
from pipeline.evaluation.batch import PartitionState
from pipeline.evaluation.rule_book import OWN, InForce
from pipeline.events.instants import format_instant
from pipeline.rules.ruleset import RuleSet, RuleSetError, read_ruleset
from pipeline.runbook import GUIDANCE
from pipeline.verdict_index.index import IndexUnavailableError
from pipeline.verdict_index.summary import count_all
from pipeline.web.http.answers import (
    Answer,
    AsOf,
    Coverage,
    Instant,
)
from pipeline.web.http.problems import FieldError, Problem
from pipeline.web.http.questions import Question
from pipeline.web.http.routes import KIB, Route, json_body
from tables.risk import PARTITION_KEY, RULES_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.rule_book import RuleBook
    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.http.outbox import Outbox
    from tables.risk import RiskValue


class RefusedRules(Answer):
    """A rule set that was published and cannot be used."""

    reason: str
    published_at: Instant


class RuleGuidance(Answer):
    """What to do when a rule fires."""

    runbook: str = Field(description="what to check first, what to do, when to leave it")
    references: list[str] = Field(
        description="articles of laws; each begins with the law's id as in regulations and a colon. Legal rules only"
    )


class RuleSetView(Answer):
    """The newest good rule set: every rule with its mode and parameters, and where it judges already."""

    version: str
    rules: dict[str, dict[str, Any]]
    source: Literal["settings", "rule-config"] = Field(description="the worker's settings, or published")
    published_at: Instant | None
    in_force: dict[str, list[int]] = Field(
        description="partitions by the version that judges there; a partition takes the newest with its next record"
    )
    findings: dict[str, int] | None = Field(
        description="verdicts by rule, as in /compliance/summary; null while the index cannot be asked"
    )
    shadow: dict[str, int] = Field(description="what shadow rules would have said")
    refused: RefusedRules | None = Field(description="the newest published, if it is a bad one")
    guidance: dict[str, RuleGuidance] = Field(description="what to do when a rule fires, by rule")
    coverage: Coverage
    as_of: AsOf


class RuleSetChange(Answer):
    """What publishing a rule set does, or did."""

    version: str
    dry_run: bool
    changes: list[str]


class DryRun(Question):
    """Whether to say only what would change."""

    dry_run: bool = False


class RulesDocument(BaseModel):
    """A rule set as JSON (docs/operations.md)."""

    model_config = ConfigDict(extra="forbid")

    version: str
    rules: dict[str, dict[str, Any]] = {}


ROUTES: Final = (
    Route(
        name="rules",
        method="GET",
        path="/rules",
        role="analyst",
        summary="The rule set in force",
        answers=(RuleSetView,),
        snapshot=True,
        tag="rules",
    ),
    Route(
        name="change_rules",
        method="PUT",
        path="/rules",
        role="admin",
        summary="Publish a rule set, or say what it would change",
        answers=(RuleSetChange,),
        query=DryRun,
        body=json_body(RulesDocument, 256 * KIB),
        problems=(409,),
        tag="rules",
    ),
)


def rule_views(
    users: WriteBehindTable[RiskValue],
    peers: Peers,
    book: RuleBook,
    outbox: Outbox,
    topic: str,
    index: VerdictIndex,
) -> Handlers:
    """The handlers of `/rules`.

    Args:
        users: the risk agent's table.
        peers: the other workers.
        book: the rule sets.
        outbox: writes a published rule set.
        topic: the full name of `rule-config`.
        index: the verdict index, which counts the findings.
    """
    rules = _Rules(users, peers, book, outbox, topic, index)
    return {"rules": rules.show, "change_rules": rules.change}


class _Rules:
    def __init__(
        self,
        users: WriteBehindTable[RiskValue],
        peers: Peers,
        book: RuleBook,
        outbox: Outbox,
        topic: str,
        index: VerdictIndex,
    ) -> None:
        self._users = users
        self._peers = peers
        self._book = book
        self._outbox = outbox
        self._topic = topic
        self._index = index

    async def show(self, call: Call) -> RuleSetView:
        """The newest valid rule set, the partitions where it is in force, and the counts of its findings."""
        gathered = await self._peers.gather(call, self._users, dict(self._partitions()))
        in_force: defaultdict[str, list[int]] = defaultdict(list)
        shadow: Counter[str] = Counter()
        for partition, found in sorted(gathered.partitions.items()):
            if found["version"] is not None:
                in_force[found["version"]].append(partition)
            shadow.update(found["counts"])
        try:
            findings = dict(sorted(count_all(await self._index.tallies()).by_rule.items()))
        except IndexUnavailableError:
            # The rule set is shown without its counts.
            findings = None
        newest, refused = self._book.newest, self._book.refused
        ruleset = self._book.ruleset(newest)
        return RuleSetView(
            version=ruleset.version,
            rules=described(ruleset),
            source="settings" if newest is None or newest.document == OWN else "rule-config",
            published_at=None if newest is None else format_instant(newest.published),
            in_force=dict(in_force),
            findings=findings,
            shadow=_below("shadow.", shadow),
            refused=None
            if refused is None
            else RefusedRules(reason=refused.reason, published_at=format_instant(refused.published)),
            guidance={
                rule_id: RuleGuidance(runbook=one.runbook, references=list(one.references))
                for rule_id, one in GUIDANCE.items()
            },
            coverage=gathered.coverage,
            as_of=call.as_of,
        )

    async def change(self, call: Call) -> RuleSetChange:
        """Publish a rule set. With `dry_run`, only say what it would change."""
        asked: RulesDocument = call.body
        document = asked.model_dump(mode="json")
        try:
            ruleset = read_ruleset(document)
        except RuleSetError as error:
            raise wrong_rule_set(str(error)) from None
        try:
            self._book.check_version(ruleset)
        except RuleSetError as error:
            raise Problem(HTTPStatus.CONFLICT, str(error)) from None
        before = self._book.ruleset(self._book.newest)
        changes = list(differences(before, ruleset))
        if not call.query.dry_run and ruleset != before:
            await self._outbox.write(self._topic, KEY, json.dumps(document, ensure_ascii=False).encode())
        return RuleSetChange(version=ruleset.version, dry_run=call.query.dry_run, changes=changes)

    def _partitions(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for partition, reader in self._users.owned():
            in_force, state = reader.peek(RULES_KEY), reader.peek(PARTITION_KEY)
            yield (
                partition,
                {
                    "version": in_force.version if isinstance(in_force, InForce) else None,
                    "counts": state.counts if isinstance(state, PartitionState) else {},
                },
            )


def described(ruleset: RuleSet) -> dict[str, dict[str, Any]]:
    """Every rule with its mode and parameters, in the form of a rule set document."""
    return {
        rule_id: {"mode": ruleset.modes[rule_id], **_parameters(rule)}
        for rule_id, rule in sorted(ruleset.rules.items())
    }


def differences(before: RuleSet, after: RuleSet) -> Iterator[str]:
    """The changes between two rule sets, one line for each parameter."""
    old, new = described(before), described(after)
    if before.version != after.version:
        yield f"version: {before.version} -> {after.version}"
    for rule_id, parameters in new.items():
        for name, value in parameters.items():
            if old[rule_id][name] != value:
                yield f"{rule_id}.{name}: {_shown(old[rule_id][name])} -> {_shown(value)}"


def _parameters(rule: object) -> dict[str, Any]:
    parameters: dict[str, Any] = TypeAdapter(type(rule)).dump_python(rule, mode="json")
    return parameters


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _below(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {
        name.removeprefix(prefix): count for name, count in sorted(counts.items()) if name.startswith(prefix)
    }


def wrong_rule_set(reason: str) -> Problem:
    """400: a rule set is not valid."""
    place, colon, message = reason.partition(": ")
    is_place = bool(colon) and place.startswith("rules.")
    error = FieldError(
        path=place if is_place else "", message=message if is_place else reason, type="ruleset"
    )
    return Problem(HTTPStatus.BAD_REQUEST, f"the rule set is not valid: {reason}", errors=[error])
