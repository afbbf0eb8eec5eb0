"""The log of a worker: lines for people, or JSON for machines, on standard error."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from pipeline.bounded import BoundedDict

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"
# What these say at level info is for their own developers.
_QUIETER = ("aiokafka", "faust", "kafka", "mode", "asyncio", "aiohttp.access")
_LIBRARY = "aiokafka"
# What these say is up to whoever connects, or repeats with each connection and request. An entry of the audit trail
# that only the log has is no repetition.
_UP_TO_CLIENTS = ("aiohttp", "asyncio", "pipeline.web")
_EACH_COUNTS = "pipeline.web.access.audit_trail"
_SILENCE_SECONDS = 10.0
_SEEN_MESSAGES = 1_000


class Dampened(logging.Filter):
    """Lets messages of one kind through once in a while.

    The client library for Kafka repeats a message some ten times a second; the same text is one kind. What the web
    server says is up to its clients; there the same sentence with other values is one kind, too.

    Args:
        seconds: of silence after a message, for those of its kind.
    """

    def __init__(self, seconds: float = _SILENCE_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._seen: BoundedDict[tuple[str, str], tuple[float, int]] = BoundedDict(_SEEN_MESSAGES)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be written; one that was held back is counted in the next."""
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
    """Of which kind a message is; None: it is always written."""
    if record.name.startswith(_LIBRARY):
        return record.getMessage()
    if record.levelno < logging.WARNING or not record.name.startswith(_UP_TO_CLIENTS):
        return None
    if record.name == _EACH_COUNTS:
        return None
    error = record.exc_info[0] if record.exc_info else None
    return f"{record.msg} {error}"


def _is_left_behind(record: logging.LogRecord) -> bool:
    """Whether it is about a future inside of the client library, which nobody can await; the failure is told anyway."""
    error = record.exc_info[1] if record.exc_info else None
    return "never retrieved" in record.getMessage() and type(error).__module__.startswith(_LIBRARY)


def logging_config(settings: Settings) -> dict[str, Any]:
    """For `logging.config.dictConfig`."""
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
        "filters": {"dampened": {"()": Dampened}},
        "handlers": {
            "stderr": {
                "filters": ["dampened"],
                "class": "logging.StreamHandler",
                "formatter": "default",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {name: {"level": level if level == "DEBUG" else "WARNING"} for name in _QUIETER},
        "root": {"level": level, "handlers": ["stderr"]},
    }
