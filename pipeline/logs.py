"""Logging: of a worker as text or JSON on standard error, and of aiokafka in commands that have no log."""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from pipeline.bounded import BoundedDict

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"
# The info lines of these libraries are for their own developers.
_QUIETER = ("aiokafka", "faust", "kafka", "mode", "asyncio", "aiohttp.access")
_LIBRARY = "aiokafka"
# Clients cause these lines with each connection and request.
_CAUSED_BY_CLIENTS = ("aiohttp", "asyncio", "pipeline.web")
# A line of this logger is an entry of the audit trail that only the log has, so each one is written.
_NEVER_HELD_BACK = "pipeline.web.access.audit_trail"
_SILENCE_SECONDS = 10.0
_SEEN_MESSAGES = 1_000


class RateLimit(logging.Filter):
    """Lets one message of a kind through in some seconds.

    aiokafka repeats a message many times a second: messages with the same text are of one kind. Clients decide how
    often the web server logs: there, messages with the same template are of one kind, whatever their values.

    Args:
        seconds: after a message, those of its kind are held back for so long.
    """

    def __init__(self, seconds: float = _SILENCE_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._seen: BoundedDict[tuple[str, str], tuple[float, int]] = BoundedDict(_SEEN_MESSAGES)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written. The next one of its kind tells how many were held back."""
        if record.name == "asyncio" and _is_left_behind(record):
            return False
        kind = _kind(record)
        if kind is None:
            return True
        key = record.name, kind
        since, held_back = self._seen.get(key, (-math.inf, 0))
        if record.created - since < self._seconds:
            self._seen[key] = since, held_back + 1
            return False
        self._seen[key] = record.created, 0
        if held_back:
            record.msg, record.args = f"{record.getMessage()} ({held_back} more times)", ()
        return True


def _kind(record: logging.LogRecord) -> str | None:
    """The kind of a message; None if it is always written."""
    if record.name.startswith(_LIBRARY):
        return record.getMessage()
    if record.levelno < logging.WARNING or not record.name.startswith(_CAUSED_BY_CLIENTS):
        return None
    if record.name == _NEVER_HELD_BACK:
        return None
    error = record.exc_info[0] if record.exc_info else None
    return f"{record.msg} {error}"


def _is_left_behind(record: logging.LogRecord) -> bool:
    """Whether it is about a future inside of aiokafka, which nobody can await. The error itself is logged elsewhere."""
    error = record.exc_info[1] if record.exc_info else None
    return "never retrieved" in record.getMessage() and type(error).__module__.startswith(_LIBRARY)


def logging_config(settings: Settings) -> dict[str, Any]:
    """The log of a worker, for `logging.config.dictConfig`."""
    level = settings.log_level.upper()
    formatter = (
        {"()": "pythonjsonlogger.json.JsonFormatter", "fmt": _JSON}
        if settings.log_format == "json"
        else {"format": _TEXT}
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"default": formatter},
        "filters": {"rate_limit": {"()": RateLimit}},
        "handlers": {
            "stderr": {
                "filters": ["rate_limit"],
                "class": "logging.StreamHandler",
                "formatter": "default",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {name: {"level": level if level == "DEBUG" else "WARNING"} for name in _QUIETER},
        "root": {"level": level, "handlers": ["stderr"]},
    }


class _OneSentence(logging.Handler):
    """Writes an error of aiokafka as one line of ours, at most once in ten seconds."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SILENCE_SECONDS
            sys.stderr.write(f"ott: Kafka client, trying again: {record.getMessage()}\n")


def quiet_kafka_client() -> None:
    """For commands other than the worker: errors of aiokafka are rare lines on standard error, warnings are dropped."""
    logger = logging.getLogger(_LIBRARY)
    logger.handlers = [_OneSentence()]
    logger.propagate = False
