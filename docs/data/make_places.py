# ruff: noqa: INP001 - a script run by hand, not a package
"""Makes pipeline/jurisdictions/places.json; README.md says from what and how.

Usage: python docs/data/make_places.py path/to/world_map.gpkg
"""

import json
import math
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pycountry
from names import match_names
from outlines import Outline, centroid, read_outlines

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent / "pipeline" / "jurisdictions"

SOURCE = "Natural Earth 1:10m Admin 1 States, Provinces 4.1.0, as generalised in QGIS 3.22 world_map.gpkg"
LICENCE = "public domain"
AS_OF = "2026-11-24"

MOST_ENCLOSING_KM2 = math.pi * 300**2
"""A place that encloses another stands for it up to a radius of 300 km: the rule starts at 500 km."""

DECIMALS = 4
"""Of degrees: some 11 m, far below what a centroid means."""

CODES = tomllib.loads((PACKAGE / "codes.toml").read_text(encoding="utf-8"))
COUNTRIES = {*CODES["assigned"].split(), CODES["counted_as_assigned"]}
SUBDIVISIONS = {s.code: s for s in pycountry.subdivisions if s.code not in CODES["own_codes"]}
"""What ISO 3166-2 lists, but for those that `normalise` turns into a country."""

Figures = tuple[float, float, float]
"""Latitude, longitude, area in km2."""


class Crosswalk:
    """places_crosswalk.toml, with its references resolved to outlines."""

    def __init__(self, outlines: Mapping[int, Outline]) -> None:
        self.data: dict[str, Any] = tomllib.loads(
            (HERE / "places_crosswalk.toml").read_text(encoding="utf-8")
        )
        self.outlines = outlines
        self.by_name: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        self.by_country: dict[str, list[int]] = defaultdict(list)
        for outline in outlines.values():
            self.by_name[outline.country, outline.name].append(outline.fid)
            self.by_country[outline.country].append(outline.fid)

    def fids(self, country: str, references: Iterable[str | int]) -> set[int]:
        """The outlines of references; a name must tell exactly one."""
        found: set[int] = set()
        for reference in references:
            if isinstance(reference, int):
                found.add(self.outlines[reference].fid)
                continue
            prefix, colon, rest = reference.partition(":")
            where, name = (prefix, rest) if colon else (country, reference)
            fids = self.by_country[where] if name == "*" else self.by_name[where, name]
            if not fids or (name != "*" and len(fids) > 1):
                raise SystemExit(f"crosswalk: {reference!r} of {country} tells {len(fids)} outlines")
            found.update(fids)
        return found

    def countries(self) -> dict[str, set[int]]:
        """Every country's outlines, by ISO's cut."""
        cut = {country: set(fids) for country, fids in self.by_country.items()}
        moved = self.fids("", self.data["ignored"])
        added = {country: self.fids(country, names) for country, names in self.data["countries"].items()}
        for fids in (moved, *added.values()):
            for country in cut:
                cut[country] -= fids
        for country, fids in added.items():
            cut.setdefault(country, set()).update(fids)
        if cut.pop("-1"):
            raise SystemExit("crosswalk: an outline of no country is neither given to one nor ignored")
        return cut


def drawn_subdivisions(crosswalk: Crosswalk) -> dict[str, set[int]]:
    """The outlines of every subdivision that the source draws."""
    data = crosswalk.data
    parts: dict[str, list[str]] = defaultdict(list)
    for code, subdivision in SUBDIVISIONS.items():
        if subdivision.parent_code:
            parts[subdivision.parent_code].append(code)
    drawn = {code: crosswalk.fids(code[:2], names) for code, names in data["subdivisions"].items()}
    unnamed = {*data["unnamed"], *data["enclosing"]}
    for country in sorted({code[:2] for code in SUBDIVISIONS}):
        mine = [code for code in SUBDIVISIONS if code[:2] == country]
        named = {
            c: SUBDIVISIONS[c].name
            for c in mine
            if c not in drawn and c not in unnamed and country not in unnamed
        }
        leaves = {c: name for c, name in named.items() if c not in parts}
        if country in data["upper_level"]:
            leaves = {c: name for c, name in named.items() if not SUBDIVISIONS[c].parent_code}
        taken = {fid for code in mine for fid in drawn.get(code, ())}
        candidates = [crosswalk.outlines[fid] for fid in crosswalk.by_country[country] if fid not in taken]
        matched = match_names(leaves, candidates)
        drawn.update({code: {fid} for code, fid in matched.items()})
        left = [outline for outline in candidates if outline.fid not in matched.values()]
        unite(crosswalk, parts, [code for code in mine if code in parts], drawn)
        rest = {code: name for code, name in named.items() if code in parts and code not in drawn}
        drawn.update({code: {fid} for code, fid in match_names(rest, left).items()})
    return drawn


def unite(
    crosswalk: Crosswalk, parts: Mapping[str, list[str]], codes: list[str], drawn: dict[str, set[int]]
) -> None:
    """Draws the subdivisions that are made of others; one may be made of one that is made of others."""
    waiting = [code for code in codes if code not in drawn]
    for _ in range(len(waiting)):
        for code in [code for code in waiting if code not in drawn]:
            there = [part for part in parts[code] if part in drawn]
            gaps = len(there) < len(parts[code])
            if there and (not gaps or code in crosswalk.data["unions_with_gaps"]):
                extras = crosswalk.fids(code[:2], crosswalk.data["union_extras"].get(code, ()))
                drawn[code] = extras.union(*(drawn[part] for part in there))


def figures(outlines: Mapping[int, Outline], fids: Iterable[int]) -> Figures:
    """The centroid and the area of outlines taken together."""
    together = [outlines[fid] for fid in sorted(fids)]
    latitude, longitude = centroid([outline.moment for outline in together])
    return latitude, longitude, sum(outline.area_km2 for outline in together)


def enclosed_subdivisions(crosswalk: Crosswalk, places: Mapping[str, Figures]) -> dict[str, Figures]:
    """The places of subdivisions that the source does not draw: of what encloses them, if not too large."""
    enclosed: dict[str, Figures] = {}
    for code, names in crosswalk.data["enclosing"].items():
        if names[0].startswith("@"):
            enclosed[code] = places[names[0][1:]]
        else:
            enclosed[code] = figures(crosswalk.outlines, crosswalk.fids(code[:2], names))
    for code, subdivision in SUBDIVISIONS.items():
        parent = subdivision.parent_code
        around = places.get(parent) or enclosed.get(parent)
        if code in places or code in enclosed or around is None:
            continue
        if parent not in crosswalk.data["not_enclosing"]["codes"]:
            enclosed[code] = around
    if twice := sorted(enclosed.keys() & places.keys()):
        raise SystemExit(f"crosswalk: both drawn and enclosed: {twice}")
    return {code: place for code, place in enclosed.items() if place[2] <= MOST_ENCLOSING_KM2}


def main(geopackage: Path) -> None:
    """Writes places.json and says what is in it."""
    outlines = read_outlines(geopackage)
    crosswalk = Crosswalk(outlines)
    cut = {country: fids for country, fids in crosswalk.countries().items() if fids}
    places = {code: figures(outlines, fids) for code, fids in (cut | drawn_subdivisions(crosswalk)).items()}
    for code, given in crosswalk.data["figures"].items():
        places[code] = (given["latitude"], given["longitude"], given["area_km2"])
    countries = {code for code in places if "-" not in code}
    if wrong := sorted(countries ^ COUNTRIES):
        raise SystemExit(f"countries without a place, or places without a country: {wrong}")
    if strangers := sorted(
        places.keys() - countries - SUBDIVISIONS.keys() - crosswalk.data["also_listed"].keys()
    ):
        raise SystemExit(f"crosswalk: ISO 3166-2 does not list {strangers}")
    enclosed = enclosed_subdivisions(crosswalk, places)
    unplaced = sorted(SUBDIVISIONS.keys() - places.keys() - enclosed.keys())
    write(places | enclosed, sorted(enclosed), unplaced)
    sys.stdout.write(
        f"{len(countries)} countries; {len(SUBDIVISIONS)} subdivisions listed by ISO: "
        f"{len(places.keys() & SUBDIVISIONS.keys())} drawn, {len(enclosed)} by a place that encloses them, "
        f"{len(unplaced)} without:\n{' '.join(unplaced)}\n"
    )


def write(places: Mapping[str, Figures], enclosed: list[str], unplaced: list[str]) -> None:
    """Writes the file: one place a line, so that a change shows as a change."""
    head = {"source": SOURCE, "licence": LICENCE, "as_of": AS_OF, "unplaced": unplaced, "enclosed": enclosed}
    lines = [f'"{key}":{json.dumps(value, separators=(",", ":"))}' for key, value in head.items()]
    rows = [
        f'"{code}":[{_short(latitude, DECIMALS)},{_short(longitude, DECIMALS)},{_short_area(area)}]'
        for code, (latitude, longitude, area) in sorted(places.items())
    ]
    lines.append('"places":{\n' + ",\n".join(rows) + "\n}")
    (PACKAGE / "places.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _short_area(area: float) -> str:
    """An area to a whole km2; of small places to four significant digits."""
    return str(round(area)) if area >= 1000 else f"{area:.4g}"  # noqa: PLR2004 - four digits either way


def _short(number: float, decimals: int) -> str:
    return f"{number:.{decimals}f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the program and its one argument
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
