"""Pauses of consuming: the record under the key `pause` on `rule-config` holds for every worker.

Every worker reads that compacted topic before it judges anything. So a pause lasts until somebody resumes, over
restarts, and for workers that join later.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from pipeline.events.foreign import UnreadableError, json_reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.delivery.flow.gate import Gate

PAUSE_KEY: Final = b"pause"
PAUSE_SCHEMA: Final = "process-pause/1"
MAX_REASON: Final = 200
_LOG: Final = logging.getLogger(__name__)


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A pause as a record on `rule-config`. A tombstone ends it.

    Attributes:
        schema: name and version of this form.
        by: the account of the admin.
        at: the time of the request.
        reason: in the words of the admin.
    """

    schema: Literal["process-pause/1"] = PAUSE_SCHEMA
    by: Annotated[str, msgspec.Meta(max_length=100)]
    at: Annotated[str, msgspec.Meta(max_length=40)]
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON)] | None = None


_read: Final = json_reader(Pause)


class Pauses:
    """Closes and opens the gate of this worker. `RuleConfig` gives it the records.

    Args:
        gate: stands before the processing.
        topics: the topics to hold back.
        counted: those of them whose records are events; a single step lets one of these through.

    Attributes:
        current: the pause that is in force, or None.
    """

    def __init__(self, gate: Gate, topics: Sequence[str], counted: Sequence[str]) -> None:
        self._gate = gate
        self._topics = topics
        self._counted = counted
        self.current: Pause | None = None

    def apply(self, value: bytes | None, offset: int) -> None:
        """Take the newest record under the key. A value that cannot be read is logged and changes nothing.

        Args:
            value: of the record; None for a tombstone.
            offset: of the record.
        """
        if value is None:
            if self.current is not None:
                _LOG.info("consuming goes on: the pause by %s has ended", self.current.by)
            self.current = None
            self._gate.open()
            return
        try:
            pause = _read(value)
        except UnreadableError as error:
            _LOG.error(
                "the pause at offset %d of rule-config cannot be read and is ignored: %s", offset, error
            )
            return
        if pause != self.current:
            _LOG.warning(
                "consuming is paused by %s since %s (%s)",
                pause.by,
                pause.at,
                pause.reason or "no reason given",
            )
        self.current = pause
        self._gate.close(self._topics, self._counted)
