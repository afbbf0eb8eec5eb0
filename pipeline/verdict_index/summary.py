"""Counts of indexed verdicts by rule, dimension, level, regulation and region."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pipeline.jurisdictions.regions import country_of, in_eea

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class CountKey(NamedTuple):
    """What a verdict is counted by. Many verdicts share a profile.

    Attributes:
        level: risk level.
        dimensions: pairs of a dimension and its level.
        rules: ids of the rules with a finding.
        regulations: those that the findings name.
    """

    level: str
    dimensions: tuple[tuple[str, str], ...]
    rules: tuple[str, ...]
    regulations: tuple[str, ...]


class Tally(NamedTuple):
    """The number of verdicts of one profile in one region; the region is None for titles and devices."""

    profile: CountKey
    region: str | None
    verdicts: int


class Span(NamedTuple):
    """What the index covers.

    Attributes:
        verdicts: the number of indexed verdicts.
        first: when the oldest one was published, milliseconds since 1970; None in an empty index.
        last: when the newest one was published.
        limit: so many are kept.
        behind: published verdicts that were not indexed yet when the topic was last read.
    """

    verdicts: int
    first: int | None
    last: int | None
    limit: int
    behind: int


@dataclass(slots=True)
class Counts:
    """Counts of verdicts. A verdict counts once for each of its rules, dimensions and regulations."""

    verdicts: int = 0
    by_level: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    by_regulation: Counter[str] = field(default_factory=Counter)
    by_dimension: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By dimension and the level of that dimension, which may differ from the verdict's."""

    def add(self, profile: CountKey, count: int) -> None:
        """Add so many verdicts of a profile."""
        self.verdicts += count
        self.by_level[profile.level] += count
        for rule_id in profile.rules:
            self.by_rule[rule_id] += count
        for regulation in profile.regulations:
            self.by_regulation[regulation] += count
        for dimension, level in profile.dimensions:
            self.by_dimension[dimension][level] += count


@dataclass(slots=True)
class RegionCounts:
    """Counts by region, and sums over regions. Verdicts on titles and devices have no region and are left out.

    `eea` and `other` together are all regions. `us_ca` and `rest_of_us` together are the United States, without the
    territories that have a country code of their own.
    """

    regions: Mapping[str, Counts]
    eea: Counts = field(default_factory=Counts)
    other: Counts = field(default_factory=Counts)
    us_ca: Counts = field(default_factory=Counts)
    rest_of_us: Counts = field(default_factory=Counts)


def count_all(tallies: Iterable[Tally]) -> Counts:
    """The sum over all regions."""
    total = Counts()
    for profile, _, count in tallies:
        total.add(profile, count)
    return total


def count_by_region(tallies: Iterable[Tally]) -> RegionCounts:
    """The counts of each region, and the sums over regions."""
    regions: defaultdict[str, Counts] = defaultdict(Counts)
    found = RegionCounts(regions)
    for profile, region, count in tallies:
        if region is None:
            continue
        regions[region].add(profile, count)
        (found.eea if in_eea(region) else found.other).add(profile, count)
        if country_of(region) == "US":
            (found.us_ca if region == "US-CA" else found.rest_of_us).add(profile, count)
    return found
