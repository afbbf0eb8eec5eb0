"""The log of a worker: lines for people, or JSON for machines, on standard error."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.settings import Settings

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"
# What these say at level info is for their own developers.
_QUIETER = ("aiokafka", "faust", "kafka", "mode", "asyncio", "aiohttp.access")
_REPEATING = "aiokafka"
_SILENCE_SECONDS = 10.0
_SEEN_MESSAGES = 1_000


class Dampened(logging.Filter):
    """Lets a message of the client library through once in a while: it repeats some ten times a second.

    Args:
        seconds: of silence after a message, for the same one.
    """

    def __init__(self, seconds: float = _SILENCE_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be written; one that was held back is counted in the next."""
        if record.name == "asyncio" and _is_left_behind(record):
            return False
        if not record.name.startswith(_REPEATING):
            return True
        text = record.getMessage()
        key = record.name, text
        since, held_back = self._seen.get(key, (-math.inf, 0))
        if record.created - since < self._seconds:
            self._seen[key] = since, held_back + 1
            return False
        if len(self._seen) >= _SEEN_MESSAGES:
            self._seen.clear()
        self._seen[key] = record.created, 0
        if held_back:
            record.msg, record.args = f"{text} ({held_back} more times)", ()
        return True


def _is_left_behind(record: logging.LogRecord) -> bool:
    """Whether it is about a future inside of the client library, which nobody can await; the failure is told anyway."""
    error = record.exc_info[1] if record.exc_info else None
    return "never retrieved" in record.getMessage() and type(error).__module__.startswith(_REPEATING)


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
