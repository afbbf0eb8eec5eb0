"""Errors for people: one sentence that names the thing, its value and the way out, and an exit status."""

from __future__ import annotations

from typing import ClassVar


class OttError(Exception):
    """An error whose message is meant for the person at the terminal.

    The command line prints `ott: <message>` and ends with `exit_status`; the traceback is for `--debug`.
    """

    exit_status: ClassVar[int] = 1

    @property
    def message(self) -> str:
        """The sentence as it is shown."""
        return str(self)


class RefusedError(OttError):
    """The answer is "no": differences found, accounts that do not add up, a check that failed."""

    exit_status = 1


class UsageError(OttError):
    """Wrong usage or settings."""

    exit_status = 2


class MissingError(OttError):
    """Something outside is missing or unusable: a broker, a port, a file, Java."""

    exit_status = 3
