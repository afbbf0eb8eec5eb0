"""What client libraries log, for commands that have no log of their own."""

from __future__ import annotations

import logging
import sys
import time

_SILENCE_S = 10.0


class _OneSentence(logging.Handler):
    """Shows a client's error as one line of ours; a client without its broker logs fifty a second."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SILENCE_S
            sys.stderr.write(f"ott: Kafka client, trying again: {record.getMessage()}\n")


def quiet_kafka_client() -> None:
    """Errors of aiokafka become a line on standard error, at most every ten seconds; its warnings nothing."""
    logger = logging.getLogger("aiokafka")
    logger.handlers = [_OneSentence()]
    logger.propagate = False
