"""Errors for people: one sentence that names the thing, its value and the way out, and an exit status."""

from __future__ import annotations

from typing import ClassVar


class OttError(Exception):
    """An error whose message is for the person at the terminal.

    The command prints `ott: <message>` and ends with `exit_status`. `--debug` also shows the traceback.
    """

    exit_status: ClassVar[int] = 1

    @property
    def message(self) -> str:
        """The message."""
        return str(self)


class RefusedError(OttError):
    """The answer is no: there are differences, accounts do not add up, or a check failed."""

    exit_status = 1


class UsageError(OttError):
    """Wrong usage or settings."""

    exit_status = 2


class MissingError(OttError):
    """Something outside is missing or unusable: a broker, a port, a file, Java."""

    exit_status = 3
