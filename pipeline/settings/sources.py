"""Where settings come from: flags, the environment, a TOML file; merged, with each value's origin.

This module knows names and files; what a value may be is the schema's business.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import MissingError, UsageError
from pipeline.events.foreign import read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX = "OTT_"
CONFIG_VARIABLE = "OTT_CONFIG"
CONFIG_FILE = "ott.toml"


@dataclass(frozen=True, slots=True)
class Names:
    """The known settings, and which of them are treated in a special way.

    Attributes:
        settings: all names, in the schema's order.
        secrets: may also be given as `NAME_file`, a file that holds the value.
        paths: relative ones start where the source is: beside the file, else in the working directory.
        may_be_empty: an empty variable is a value; elsewhere (`OTT_RULES=`, as compose files leave it) it
            counts as not given.
    """

    settings: tuple[str, ...]
    secrets: frozenset[str]
    paths: frozenset[str]
    may_be_empty: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        """Everything that may stand in a file."""
        return frozenset(self.settings) | {f"{name}_file" for name in self.secrets}


@dataclass(frozen=True, slots=True)
class Merged:
    """Values by setting name, of those that were given, and where each came from."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)


def variable_name(setting: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + setting.upper()


def merge(names: Names, flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Merged:
    """Flags over environment over file.

    Raises:
        UsageError: an unknown name, a secret given twice, a file that is not TOML.
        MissingError: a file that was named cannot be read.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    flagged_config = given.pop("config", None)
    for name in given:
        _require_known(name, names.keys, "setting")
    variables = _variables(names, environ)
    variable_config = variables.pop(CONFIG_VARIABLE, None)
    config = flagged_config if flagged_config is not None else variable_config

    merged = Merged()
    path = cwd / str(CONFIG_FILE if config is None else config)
    if config is not None or path.exists():
        _take(names, merged, _read_file(names, path), _File(path))
    _take(names, merged, variables, _Environment(cwd))
    _take(names, merged, given, _Flags(cwd))
    return merged


class _Source:
    """How a source spells the names, and where its relative paths start."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def spell(self, name: str) -> str:
        return name

    def describe(self, spelled: str) -> str:
        raise NotImplementedError


class _File(_Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self._path = path

    def describe(self, spelled: str) -> str:
        return f"file {self._path}, {spelled}"


class _Environment(_Source):
    def spell(self, name: str) -> str:
        return variable_name(name)

    def describe(self, spelled: str) -> str:
        return f"environment {spelled}"


class _Flags(_Source):
    def describe(self, spelled: str) -> str:
        return f"flag --{spelled.replace('_', '-')}"


def _take(names: Names, merged: Merged, raw: Mapping[str, object], source: _Source) -> None:
    """Lays one source over what was merged so far."""
    for name in names.settings:
        spelled, from_file = source.spell(name), source.spell(f"{name}_file")
        if name in names.secrets and from_file in raw:
            if spelled in raw:
                raise UsageError(f"both {spelled} and {from_file} are given; keep one of the two")
            merged.values[name] = _read_secret(from_file, source.base / str(raw[from_file]))
            merged.origins[name] = source.describe(from_file)
        elif spelled in raw:
            value = raw[spelled]
            if name in names.paths and isinstance(value, str | Path):
                value = source.base / value
            merged.values[name] = value
            merged.origins[name] = source.describe(spelled)


def _require_known(name: str, known: frozenset[str], kind: str) -> None:
    if name in known:
        return
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]
    raise UsageError(f"{kind} {name} is unknown; the nearest known one is {nearest}")


def _variables(names: Names, environ: Mapping[str, str]) -> dict[str, object]:
    known = frozenset(variable_name(key) for key in names.keys) | {CONFIG_VARIABLE}
    may_be_empty = {variable_name(name) for name in names.may_be_empty}
    ours = [name for name in sorted(environ) if name.startswith(ENVIRONMENT_PREFIX)]
    for name in ours:
        _require_known(name, known, "environment variable")
    return {name: environ[name] for name in ours if environ[name] or name in may_be_empty}


def _read_file(names: Names, path: Path) -> dict[str, object]:
    try:
        content = read_toml(path.read_text("utf-8"))
    except OSError as error:
        raise MissingError(
            f"settings file {path}: {error.strerror}; name another with --config or {CONFIG_VARIABLE}"
        ) from error
    except ValueError as error:
        raise UsageError(f"settings file {path} is not TOML: {error}") from error
    for key in content:
        _require_known(key, names.keys, f"settings file {path}: key")
    return content


def _read_secret(name: str, path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise MissingError(f"{name}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: {path} is not UTF-8 text") from error
