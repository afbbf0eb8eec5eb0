# ruff: noqa: INP001 - a script's module beside it, run by hand, not a package
"""Which outline of the source and which subdivision of ISO 3166-2 have a name in common."""

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from outlines import Outline

WORDS = tomllib.loads((Path(__file__).parent / "names.toml").read_text(encoding="utf-8"))
NOT_TELLING = frozenset(WORDS["not_telling"].split())
LETTERS = str.maketrans({**WORDS["letters"], **dict.fromkeys(WORDS["silent"], "")})


def whole(name: str) -> str:
    """A name's letters and digits, without accents."""
    return "".join(_words(name))


def telling(name: str) -> str:
    """The same, without the words that tell no place, unless nothing else is left."""
    words = _words(name)
    return "".join([word for word in words if word not in NOT_TELLING] or words)


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.lower().translate(LETTERS))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.findall(r"[a-z0-9]+", plain.translate(LETTERS))


def variants(name: str) -> list[str]:
    """A name of ISO 3166-2, and its parts: it gives other languages in brackets or after a slash."""
    parts = [name, *(part for part in re.split(r"[/\[\]()=,]| - ", name) if part.strip())]
    return [re.sub(r"\b[A-Z]{2}-[A-Z0-9]+\b", "", part).strip() for part in parts]


TIERS: list[tuple[Callable[[Outline], str], Callable[[str], str]]] = [
    (lambda outline: outline.name or "", whole),
    (lambda outline: outline.name or "", telling),
    (lambda outline: outline.other_names[0], telling),
    (lambda outline: outline.other_names[1], telling),
    (lambda outline: outline.other_names[2], telling),
]
"""What names are compared by, the most reliable first."""


def match_names(names: Mapping[str, str], outlines: Iterable[Outline]) -> dict[str, int]:
    """Pairs the codes and the outlines of one country by names that tell one of each.

    Args:
        names: Code to name.
        outlines: The country's outlines that nothing has taken yet.

    Returns:
        Code to the outline's fid, for those that found each other.
    """
    codes = dict(names)
    free = {outline.fid: outline for outline in outlines}
    matched: dict[str, int] = {}
    tier = 0
    while tier < len(TIERS):
        hits = _hits(codes, free.values(), *TIERS[tier])
        for code, fid in hits.items():
            matched[code] = fid
            del codes[code], free[fid]
        # What was matched may have made another name unambiguous.
        tier = 0 if hits else tier + 1
    return matched


def _hits(
    codes: Mapping[str, str],
    outlines: Iterable[Outline],
    name_of: Callable[[Outline], str],
    form: Callable[[str], str],
) -> dict[str, int]:
    """The pairs of one tier."""
    fids: dict[str, set[int]] = defaultdict(set)
    owners: dict[str, set[str]] = defaultdict(set)
    for outline in outlines:
        fids[form(name_of(outline))].add(outline.fid)
    for code, name in codes.items():
        for variant in variants(name):
            owners[form(variant)].add(code)
    hits: dict[str, int] = {}
    for key in sorted(fids.keys() & owners.keys() - {""}):
        if len(fids[key]) == 1 and len(owners[key]) == 1:
            fid, code = next(iter(fids[key])), next(iter(owners[key]))
            if code not in hits and fid not in hits.values():
                hits[code] = fid
    return hits
