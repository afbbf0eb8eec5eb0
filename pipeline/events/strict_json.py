"""JSON exactly as the event contract reads it.

The standard library's parser checks the grammar. This module adds what the parser does not check: lone surrogates, NaN,
numbers beyond a double, integers of any length, and a limit to nesting. The limit also holds in a value that a repeated
key replaces.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 64
_MAX_INT_DIGITS: Final = 4300
"""CPython refuses to convert longer integers (CVE-2020-10735), so they are kept as text."""

_LONE_SURROGATE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_SPACE: Final = r"[ \t\n\r]*"
_TOKEN: Final = re.compile(
    _SPACE
    + r"(?:(?P<mark>[{}\[\],:])"
    + r'|(?P<string>"(?:[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")'
    + r"|(?P<scalar>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"
)
_END: Final = re.compile(_SPACE + r"\Z")
_CLOSES: Final = frozenset(
    {("[", "]", "after"), ("[", "]", "value or end"), ("{", "}", "after"), ("{", "}", "key or end")}
)
"""Triples of the open mark, the mark that closes it, and what is expected at that position (see `depth`)."""


class NotJsonError(ValueError):
    """The value is not JSON text in UTF-8."""


@dataclass(frozen=True, slots=True)
class LongInteger:
    """An integer too long for CPython's conversion, by its canonical digits."""

    digits: str


@dataclass(frozen=True, slots=True)
class Violation:
    """Why the contract refuses valid JSON. `type` names the rule."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A value, and its violation if there is one. `value` is None where the nesting is too deep."""

    value: Any
    violation: Violation | None = None


def read_json(data: bytes) -> Reading:
    """Read one JSON value.

    Raises:
        NotJsonError: not UTF-8, a byte order mark, NaN or Infinity, a lone surrogate, or bad grammar.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJsonError(f"is not UTF-8 at byte {error.start}") from None
    if "\\u" in text:
        for found in _LONE_SURROGATE.finditer(text):
            if found.group(1) is not None:
                raise NotJsonError(f"has a lone surrogate \\u{found.group(1)} at character {found.start()}")
    if text.count("[") + text.count("{") > MAX_DEPTH and depth(text) > MAX_DEPTH:
        return Reading(None, Violation("nesting", f"is nested deeper than {MAX_DEPTH} levels"))
    beyond: list[str] = []

    def parse_float(digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            beyond.append(digits)
        return number

    try:
        value = json.loads(
            text, parse_float=parse_float, parse_int=_parse_int, parse_constant=_refuse_constant
        )
    except ValueError as error:
        raise NotJsonError(f"is not JSON: {error}") from None
    if beyond:
        return Reading(value, Violation("number_range", f"holds a number beyond a double: {beyond[0][:40]}"))
    return Reading(value)


def canonical_json(value: object) -> str:
    """Compact JSON with sorted keys, for values that `read_json` gave.

    A number with a fraction or an exponent is a double, one without is an integer. So 1, 1.0 and true all differ.
    """
    match value:
        case dict():
            members = (f"{_quote(key)}:{canonical_json(value[key])}" for key in sorted(value))
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(canonical_json(item) for item in value) + "]"
        case LongInteger():
            return value.digits
        case _:
            return json.dumps(value, ensure_ascii=False)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _parse_int(digits: str) -> int | LongInteger:
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else LongInteger(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def depth(text: str) -> int:  # noqa: C901, PLR0912 - a grammar: each branch is one production
    """The deepest nesting of a JSON text, without recursion.

    Raises:
        NotJsonError: the text is not JSON. The grammar is checked here because a recursive parser may fail on nesting
            that is too deep for the contract.
    """
    open_marks: list[str] = []
    deepest = position = 0
    # What may come next: "value", "value or end" (of an array), "key", "key or end" (of an object), "colon", "after".
    expected = "value"
    while True:
        if expected == "after" and not open_marks:
            if _END.match(text, position) is None:
                raise NotJsonError(f"is not JSON: extra data at character {position}")
            return deepest
        token = _TOKEN.match(text, position)
        if token is None:
            raise NotJsonError(f"is not JSON at character {position}")
        position = token.end()
        mark = token["mark"]
        if mark is None:
            if expected in ("value", "value or end"):
                expected = "after"
            elif expected in ("key", "key or end") and token["string"] is not None:
                expected = "colon"
            else:
                raise NotJsonError(f"is not JSON at character {token.start()}")
            continue
        if mark in "[{" and expected in ("value", "value or end"):
            open_marks.append(mark)
            deepest = max(deepest, len(open_marks))
            expected = "value or end" if mark == "[" else "key or end"
        elif mark in "]}" and open_marks and (open_marks[-1], mark, expected) in _CLOSES:
            open_marks.pop()
            expected = "after"
        elif mark == ":" and expected == "colon":
            expected = "value"
        elif mark == "," and expected == "after":
            expected = "value" if open_marks[-1] == "[" else "key"
        else:
            raise NotJsonError(f"is not JSON at character {token.start()}")
