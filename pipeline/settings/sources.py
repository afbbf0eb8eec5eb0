"""Where settings come from: flags, the environment and a TOML file, merged, with the origin of each value.

This module knows names and files. What a value may be is said in `schema`. The library pydantic-settings reads the same
kinds of sources, but it keeps no origin of a value, and passes over a misspelt variable.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import MissingError, UsageError
from pipeline.events.foreign import read_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ENVIRONMENT_PREFIX = "OTT_"
CONFIG_VARIABLE = "OTT_CONFIG"
CONFIG_FILE = "ott.toml"


class Names(NamedTuple):
    """The known settings, and which of them are treated in a special way.

    Attributes:
        settings: all names, in the order of the schema.
        secrets: may also be given as `NAME_file`, a file that holds the value.
        paths: a relative path starts at the settings file that names it, else at the working directory.
        may_be_empty: an empty variable is a value. For all others (`OTT_RULES=`, as compose files leave it) it counts
            as not given.
    """

    settings: tuple[str, ...]
    secrets: frozenset[str]
    paths: frozenset[str]
    may_be_empty: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        """Everything that a source may name."""
        return frozenset(self.settings) | {f"{name}_file" for name in self.secrets}


class Merged(NamedTuple):
    """The values that were given and their origins, both by setting name."""

    values: dict[str, object]
    origins: dict[str, str]


class _Source(NamedTuple):
    """One source: its values by key, how it spells a key, and where its relative paths start."""

    values: Mapping[str, object]
    kind: str
    spell: Callable[[str], str]
    base: Path


def variable_name(key: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + key.upper()


def merge(names: Names, flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Merged:
    """Merge the sources: a flag counts before a variable, and a variable before the file.

    Raises:
        UsageError: an unknown name, a secret that is given twice, or a file that is not TOML.
        MissingError: a file that was named cannot be read.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    config = given.pop("config", environ.get(CONFIG_VARIABLE) or None)
    _require_known(given, names.keys, "setting")
    sources = [
        _Source(_variables(names, environ), "environment ", variable_name, cwd),
        _Source(given, "flag ", lambda key: f"--{key.replace('_', '-')}", cwd),
    ]
    path = cwd / str(CONFIG_FILE if config is None else config)
    if config is not None or path.exists():
        sources.insert(0, _Source(_read_file(names, path), f"file {path}, ", str, path.parent))
    merged = Merged({}, {})
    for source in sources:
        for name in names.settings:
            _take(names, source, name, merged)
    return merged


def _take(names: Names, source: _Source, name: str, merged: Merged) -> None:
    """Put the value of one setting over the one that was merged so far, if the source has it."""
    value, key = source.values.get(name), name
    from_file = f"{name}_file"
    if name in names.secrets and from_file in source.values:
        key = from_file
        if name in source.values:
            raise UsageError(
                f"both {source.spell(name)} and {source.spell(key)} are given; keep one of the two"
            )
        value = _read_secret(source.spell(key), source.base / str(source.values[key]))
    elif name not in source.values:
        return
    elif name in names.paths and isinstance(value, str | Path):
        value = source.base / value
    merged.values[name] = value
    merged.origins[name] = source.kind + source.spell(key)


def _require_known(given: Iterable[str], known: Iterable[str], kind: str) -> None:
    for name in given:
        if name not in known:
            (nearest,) = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise UsageError(f"{kind} {name} is unknown; the nearest known one is {nearest}")


def _variables(names: Names, environ: Mapping[str, str]) -> dict[str, object]:
    keys = {variable_name(key): key for key in names.keys}
    ours = sorted(name for name in environ if name.startswith(ENVIRONMENT_PREFIX))
    _require_known(ours, {*keys, CONFIG_VARIABLE}, "environment variable")
    return {
        keys[name]: environ[name]
        for name in ours
        if name != CONFIG_VARIABLE and (environ[name] or keys[name] in names.may_be_empty)
    }


def _read_file(names: Names, path: Path) -> dict[str, object]:
    try:
        content = read_toml(path.read_text("utf-8"))
    except OSError as error:
        raise MissingError(
            f"settings file {path}: {error.strerror}; name another with --config or {CONFIG_VARIABLE}"
        ) from error
    except ValueError as error:
        raise UsageError(f"settings file {path} is not TOML: {error}") from error
    _require_known(content, names.keys, f"settings file {path}: key")
    return content


def _read_secret(name: str, path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise MissingError(f"{name}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: {path} is not UTF-8 text") from error
