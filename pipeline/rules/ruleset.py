"""The rule set: which rules judge, with which parameters, and the version that verdicts name.

A rule set is a TOML or JSON document:

    version = "2026-11-24/1"

    [rules."account.multi_ip"]
    mode = "shadow"        # active (default), shadow: judged and counted, not published, or off
    medium_over = 8        # a parameter of the rule

A rule that it does not name keeps its defaults.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from pipeline.bounded import BoundedDict
from pipeline.events.foreign import UnreadableError, read_object, read_toml, shortened, shown
from pipeline.rules.account_concurrent_streams import ConcurrentStreams
from pipeline.rules.account_high_frequency import HighFrequency
from pipeline.rules.account_impossible_travel import ImpossibleTravel
from pipeline.rules.account_login_failures import LoginFailures
from pipeline.rules.account_multi_ip import MultiIp
from pipeline.rules.account_multi_region import MultiRegion
from pipeline.rules.anomaly_isolation_forest import IsolationForest
from pipeline.rules.content_error_rate import ContentErrorRate
from pipeline.rules.device_error_rate import DeviceErrorRate
from pipeline.rules.error_rate import ErrorRate
from pipeline.rules.finding import LEGAL, Finding
from pipeline.rules.inputs import Activity, OptOuts, Profile, Rule, ScoredHour
from pipeline.rules.privacy_consent_missing import ConsentMissing
from pipeline.rules.privacy_jurisdiction_mismatch import JurisdictionMismatch
from pipeline.rules.privacy_minor import Minor
from pipeline.rules.privacy_sharing_without_consent import SharingWithoutConsent
from pipeline.rules.retention_opt_out_ignored import OptOutIgnored

Mode = Literal["active", "shadow", "off"]

USER_RULES: Final[tuple[type[Rule], ...]] = (
    ConcurrentStreams,
    HighFrequency,
    ImpossibleTravel,
    LoginFailures,
    MultiIp,
    MultiRegion,
    IsolationForest,
    ConsentMissing,
    JurisdictionMismatch,
    Minor,
    SharingWithoutConsent,
    OptOutIgnored,
)
"""The rules on a user's events."""

SUBJECT_RULES: Final[tuple[type[ErrorRate], ...]] = (ContentErrorRate, DeviceErrorRate)
"""The rules on titles and devices, over all users."""

BUILT_IN_VERSION: Final = "built-in/1"

_PROFILES: Final = 65_536

MAX_DOCUMENT_BYTES: Final = 128 << 10
"""The longest rule set. Every partition's state has the document in force, so it must fit into a changelog record."""

RULES: Final[Mapping[str, type[Any]]] = {
    **{rule.rule_id: rule for rule in USER_RULES},
    **{rule.rule_id: rule for rule in SUBJECT_RULES},
}
"""Every rule by its id."""


class RuleSetError(ValueError):
    """A rule set that cannot be used. The message says what is wrong, and where."""


@dataclass(frozen=True)
class RuleSet:
    """Rules with their parameters.

    `legal` and `behavioural` are the rules on users that judge, active or shadow; `subjects` judge titles and devices.
    """

    version: str
    rules: Mapping[str, Rule | ErrorRate]
    modes: Mapping[str, Mode]
    legal: tuple[Rule, ...] = field(init=False)
    behavioural: tuple[Rule, ...] = field(init=False)
    by_profile: tuple[Callable[[Profile], Finding | None], ...] = field(init=False, compare=False, repr=False)
    by_opt_outs: tuple[Callable[[OptOuts], Finding | None], ...] = field(
        init=False, compare=False, repr=False
    )
    by_activity: tuple[Callable[[Activity], Finding | None], ...] = field(
        init=False, compare=False, repr=False
    )
    by_score: tuple[Callable[[ScoredHour], Finding | None], ...] = field(
        init=False, compare=False, repr=False
    )
    """The `judge` methods of the rules on users, by their input. They are bound once: most events have no finding, and
    looking up the methods would be half of the cost of such an event."""
    profiles: BoundedDict[tuple[object, ...], tuple[Finding, ...]] = field(
        init=False, compare=False, repr=False
    )
    """The findings of `by_profile`, by legal profile."""
    subjects: tuple[ErrorRate, ...] = field(init=False)
    shadow: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Group the rules by their input."""
        judging = [self.rules[kind.rule_id] for kind in USER_RULES if self.modes[kind.rule_id] != "off"]
        users = [rule for rule in judging if not isinstance(rule, ErrorRate)]
        set_field = object.__setattr__
        set_field(self, "legal", tuple(rule for rule in users if rule.dimension in LEGAL))
        set_field(self, "behavioural", tuple(rule for rule in users if rule.dimension not in LEGAL))
        for kind in ("profile", "opt_outs", "activity", "score"):
            set_field(self, f"by_{kind}", tuple(rule.judge for rule in users if rule.looks_at == kind))
        set_field(self, "profiles", BoundedDict(_PROFILES))
        subjects = [self.rules[kind.rule_id] for kind in SUBJECT_RULES if self.modes[kind.rule_id] != "off"]
        set_field(self, "subjects", tuple(rule for rule in subjects if isinstance(rule, ErrorRate)))
        set_field(self, "shadow", frozenset(name for name, mode in self.modes.items() if mode == "shadow"))


def built_in() -> RuleSet:
    """The rule set with every default."""
    return read_ruleset({"version": BUILT_IN_VERSION})


def parse_ruleset(text: str, name: str = "rule set") -> RuleSet:
    """Read a rule set from a TOML or JSON document. A document that begins with a brace is JSON.

    Raises:
        RuleSetError: the document is no valid rule set. The message begins with `name`.
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_DOCUMENT_BYTES:
        raise RuleSetError(f"{name}: has {len(data)} bytes; at most {MAX_DOCUMENT_BYTES} are allowed")
    try:
        document = read_object(data) if text.lstrip().startswith("{") else read_toml(text)
    except UnreadableError as error:
        raise RuleSetError(f"{name}: is neither TOML nor JSON: {error}") from None
    try:
        return read_ruleset(document)
    except RuleSetError as error:
        raise RuleSetError(f"{name}: {error}") from None


def read_ruleset(document: object) -> RuleSet:
    """Validate a parsed rule set.

    Raises:
        RuleSetError: the document is no valid rule set.
    """
    if not isinstance(document, dict):
        raise RuleSetError("must be an object with version and rules")
    unknown = sorted(document.keys() - {"version", "rules"})
    if unknown:
        raise RuleSetError(
            f"has unknown members {', '.join(map(shown, unknown))}; known are version and rules"
        )
    version = document.get("version")
    if not isinstance(version, str) or not version.strip() or len(version) > 100:  # noqa: PLR2004 - shown in every verdict
        raise RuleSetError(f"version must be a text of 1 to 100 characters, not {shown(version)}")
    if not version.isprintable():
        # Every verdict has the version. JSON can contain a lone surrogate, which would make all verdicts fail.
        raise RuleSetError(f"version must be printable text, not {shown(version)}")
    given = document.get("rules", {})
    if not isinstance(given, dict):
        raise RuleSetError("rules must be a table of rule ids")
    for rule_id in given:
        if rule_id not in RULES:
            raise RuleSetError(
                f"rules.{shortened(str(rule_id))}: there is no such rule; known are {', '.join(sorted(RULES))}"
            )
    rules: dict[str, Rule | ErrorRate] = {}
    modes: dict[str, Mode] = {}
    for rule_id in RULES:
        rules[rule_id], modes[rule_id] = _read_rule(rule_id, given.get(rule_id, {}))
    return RuleSet(version, rules, modes)


@cache
def _adapter(rule_id: str) -> TypeAdapter[Any]:
    """The validator of a rule's parameters. Building one takes longer than using it."""
    return TypeAdapter(RULES[rule_id])


def _read_rule(rule_id: str, given: object) -> tuple[Rule | ErrorRate, Mode]:
    if not isinstance(given, dict):
        raise RuleSetError(f"rules.{rule_id}: must be a table of parameters")
    parameters = dict(given)
    mode = parameters.pop("mode", "active")
    if mode not in get_args(Mode):
        raise RuleSetError(f"rules.{rule_id}.mode: {shown(mode)} is not one of {', '.join(get_args(Mode))}")
    try:
        return _adapter(rule_id).validate_python(parameters), mode
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(["rules", rule_id, *(shortened(str(part)) for part in first["loc"])])
        raise RuleSetError(f"{place}: {first['msg']} (given: {shown(first['input'])})") from None
