"""Which rule set judges a partition: the newest valid one that was published, or the worker's own.

A rule set takes effect in each partition separately, between two batches. The partition's state has the whole document
in force, so that the next owner of the partition judges with the same rules.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from pipeline.bounded import BoundedDict
from pipeline.events.foreign import UnreadableError, read_text
from pipeline.rules.ruleset import RuleSet, RuleSetError, parse_ruleset

OWN: Final = ""
"""Stands for the worker's own rule set, from its settings, where a document would stand."""

_NAME: Final = "the rule set on rule-config"
_PARSED: Final = 64
_NEVER: Final = -1


class InForce(msgspec.Struct, frozen=True, array_like=True):
    """The rule set in force in a partition, as its state has it.

    Attributes:
        version: the version that verdicts name.
        document: TOML or JSON; `OWN` where none was published, and after a tombstone.
        published: the timestamp of the record on `rule-config`, in milliseconds since 1970; -1 where there is none.
        offset: the offset of that record; -1 where there is none.
    """

    version: str
    document: str
    published: int
    offset: int


class Refused(NamedTuple):
    """What was published and cannot be used: why, the timestamp of its record, and the offset on its topic."""

    reason: str
    published: int
    offset: int


class RuleBook:
    """The rule sets that a worker knows. The follower of `rule-config` calls `offer`, the agents the rest.

    Args:
        own: the rule set of the worker's settings. It is in force where none was published.
        on_refused: is called with every document that is refused.
        on_unusable: is called with a message when this version of the program cannot read a document in force.
    """

    def __init__(
        self,
        own: RuleSet,
        on_refused: Callable[[Refused], None] = lambda _: None,
        on_unusable: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.own = own
        self.newest: InForce | None = None
        """The newest valid one; None while none is known."""
        self.refused: Refused | None = None
        """The newest document, if it is refused."""
        self._on_refused = on_refused
        self._on_unusable = on_unusable
        self._parsed: BoundedDict[tuple[str, str], RuleSet] = BoundedDict(_PARSED)

    def offer(self, value: bytes | None, published: int, offset: int) -> None:
        """Take a record of `rule-config` that is newer than all before. An invalid one only changes `refused`."""
        try:
            ruleset, document = self._read(value)
        except RuleSetError as error:
            self.refused = Refused(str(error), published, offset)
            self._on_refused(self.refused)
            return
        self.newest = InForce(ruleset.version, document, published, offset)
        self.refused = None

    def _read(self, value: bytes | None) -> tuple[RuleSet, str]:
        if value is None:
            return self.own, OWN
        try:
            document = read_text(value)
        except UnreadableError as error:
            raise RuleSetError(f"{_NAME}: {error}") from None
        ruleset = parse_ruleset(document, _NAME)
        self.check_version(ruleset)
        return ruleset, document

    def check_version(self, ruleset: RuleSet) -> None:
        """Check that the version of a new rule set is free. Verdicts name the version, so it must be of one set only.

        Raises:
            RuleSetError: another rule set has the version.
        """
        others = [self.own] if self.newest is None else [self.own, self.ruleset(self.newest)]
        for other in others:
            if other.version == ruleset.version and other != ruleset:
                raise RuleSetError(
                    f"version {ruleset.version!r} is that of another rule set; choose a new one"
                )

    def for_partition(self, in_force: InForce | None) -> InForce:
        """The rule set that must be in force in a partition from now on; `in_force` itself where nothing changes.

        Args:
            in_force: the rule set until now; None where nothing was judged yet.
        """
        own = InForce(self.own.version, OWN, _NEVER, _NEVER)
        newest = self.newest
        if in_force is None:
            return own if newest is None else newest
        # Timestamps count because a topic that was created again begins at offset 0, offsets because clocks differ.
        if newest is not None and (newest.offset > in_force.offset or newest.published > in_force.published):
            same = (newest.version, newest.document) == (in_force.version, in_force.document)
            return in_force if same else newest
        if in_force.document == OWN or self.ruleset(in_force) is self.own:
            # The worker that owned the partition before may have had other settings.
            return (
                in_force
                if in_force.version == self.own.version
                else msgspec.structs.replace(in_force, version=self.own.version, document=OWN)
            )
        return in_force

    def ruleset(self, in_force: InForce | None) -> RuleSet:
        """The parsed rules of what is in force; the worker's own where the document cannot be read any more."""
        if in_force is None or in_force.document == OWN:
            return self.own
        key = (in_force.version, in_force.document)
        ruleset = self._parsed.get(key)
        if ruleset is None:
            try:
                ruleset = parse_ruleset(in_force.document, f"the rule set {in_force.version} in force")
            except RuleSetError as error:
                self._on_unusable(str(error))
                ruleset = self.own
            self._parsed[key] = ruleset
        return ruleset
