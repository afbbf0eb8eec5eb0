"""The log of a worker: lines for people, or JSON for machines, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.settings import Settings

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_JSON = "%(asctime)s %(levelname)s %(name)s %(message)s"
# What these say at level info is for their own developers.
_QUIETER = ("aiokafka", "faust", "kafka", "mode", "asyncio", "aiohttp.access")


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
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "default",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {name: {"level": level if level == "DEBUG" else "WARNING"} for name in _QUIETER},
        "root": {"level": level, "handlers": ["stderr"]},
    }
