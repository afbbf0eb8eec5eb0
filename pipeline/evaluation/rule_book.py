"""Which rule set judges a partition: the newest good one that was published, or the worker's own.

A rule set takes effect in each partition by itself, between two batches. What is in force there is kept with the
partition's state, document and all, so that whoever has the partition next judges on with the same.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from pipeline.events.foreign import UnreadableError, read_text
from pipeline.rules.ruleset import RuleSet, RuleSetError, parse_ruleset

OWN: Final = ""
"""In the place of a document: the worker's own rule set, from its settings."""

_NAME: Final = "the rule set on rule-config"
_PARSED: Final = 64
_NEVER: Final = -1


class InForce(msgspec.Struct, frozen=True, array_like=True):
    """A rule set, as a partition keeps it.

    Attributes:
        version: named by verdicts.
        document: TOML or JSON; `OWN` where none was published, and after a tombstone.
        published: the record's timestamp, milliseconds since 1970; -1 for one that never was.
        offset: of the record on `rule-config`; -1 as well.
    """

    version: str
    document: str
    published: int
    offset: int


class Refused(NamedTuple):
    """A document that cannot be used, and why; where and when it was published."""

    reason: str
    published: int
    offset: int


class RuleBook:
    """The rule sets that a worker knows.

    Args:
        own: of the settings; in force where none was published.
        refused: told of every document that is refused.
        unusable: told of one that was in force and cannot be read by this version of the program.
    """

    def __init__(
        self,
        own: RuleSet,
        refused: Callable[[Refused], None] = lambda _: None,
        unusable: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.own = own
        self.newest: InForce | None = None
        """The newest good one; None while none is known."""
        self.refused: Refused | None = None
        """The newest, if it is a bad one."""
        self._tell_refused = refused
        self._tell_unusable = unusable
        self._parsed: dict[tuple[str, str], RuleSet] = {}

    def offer(self, value: bytes | None, published: int, offset: int) -> None:
        """A record of `rule-config`, the newest so far; a bad one changes nothing but `refused`."""
        try:
            ruleset, document = self._read(value)
        except RuleSetError as error:
            self.refused = Refused(str(error), published, offset)
            self._tell_refused(self.refused)
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
        """A version names one rule set only, or verdicts would not tell by which they were judged.

        Raises:
            RuleSetError: another one has it.
        """
        others = [self.own] if self.newest is None else [self.own, self.ruleset(self.newest)]
        for other in others:
            if other.version == ruleset.version and other != ruleset:
                raise RuleSetError(
                    f"version {ruleset.version!r} is that of another rule set; choose a new one"
                )

    def for_partition(self, in_force: InForce | None) -> InForce:
        """What has to be in force in a partition from now on; the same object where nothing changes.

        Args:
            in_force: until now; None where nothing was judged yet.
        """
        own = InForce(self.own.version, OWN, _NEVER, _NEVER)
        newest = self.newest
        if in_force is None:
            return own if newest is None else newest
        # By time as well: a topic that was made anew begins at offset 0. By offset as well: publishers' clocks differ.
        if newest is not None and (newest.offset > in_force.offset or newest.published > in_force.published):
            same = (newest.version, newest.document) == (in_force.version, in_force.document)
            return in_force if same else newest
        if in_force.document == OWN or self.ruleset(in_force) is self.own:
            # The settings may be others than those of the worker that had the partition before.
            return (
                in_force
                if in_force.version == self.own.version
                else msgspec.structs.replace(in_force, version=self.own.version, document=OWN)
            )
        return in_force

    def ruleset(self, in_force: InForce | None) -> RuleSet:
        """The rules of what is in force; the worker's own where that cannot be read any more."""
        if in_force is None or in_force.document == OWN:
            return self.own
        key = (in_force.version, in_force.document)
        ruleset = self._parsed.get(key)
        if ruleset is None:
            try:
                ruleset = parse_ruleset(in_force.document, f"the rule set {in_force.version} in force")
            except RuleSetError as error:
                self._tell_unusable(str(error))
                ruleset = self.own
            if len(self._parsed) >= _PARSED:
                self._parsed.clear()
            self._parsed[key] = ruleset
        return ruleset
