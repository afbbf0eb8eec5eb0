"""The rule sets that a replay can judge with: those on `rule-config`, and that of the settings."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.errors import MissingError
from pipeline.rules.ruleset import RuleSet, parse_ruleset

OWN: Final = ""
"""The version that stands for the rule set of the settings, as after a tombstone."""


class Published(NamedTuple):
    """A rule set on `rule-config`: when it was published, in milliseconds since 1970, its version and its document."""

    at: int
    version: str
    document: str


class KnownRuleSets:
    """The rule sets by their versions.

    Args:
        own: that of the settings.
        published: those on `rule-config`, oldest first.
    """

    def __init__(self, own: RuleSet, published: Sequence[Published]) -> None:
        self._parsed = {OWN: own, own.version: own}
        self._published = published

    def of(self, version: str) -> RuleSet:
        """The rule set of a version.

        Raises:
            MissingError: it is not there any more.
        """
        known = self._parsed.get(version)
        if known is not None:
            return known
        # A later one with the same version was refused.
        document = next((one.document for one in self._published if one.version == version), None)
        if document is None:
            raise MissingError(
                f"the rule set {version} was in force in the range and is not on rule-config any more, so the range "
                "cannot be judged as it was; judge all of it with one rule set: --rules FILE"
            )
        ruleset = self._parsed[version] = parse_ruleset(document, f"the rule set {version}")
        return ruleset

    def age(self, version: str) -> int:
        """A number that is larger for a rule set that was published later; -1 for that of the settings."""
        return next(
            (number for number, one in enumerate(self._published) if one.version == version and one.document),
            -1,
        )
