"""The audit trail: who read or changed what."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.web.routes import Route
    from pipeline.web.tokens import Identity

_LOG: Final = logging.getLogger(__name__)


class LogTrail:
    """The trail in the worker's log."""

    async def note(
        self, who: Identity, route: Route, subject: str | None, address: str | None, *, allowed: bool
    ) -> None:
        """As in `serving.Trail`."""
        _LOG.info(
            "audit: %s (%s) %s %s subject=%s from %s allowed=%s",
            who.name,
            who.role,
            route.method,
            route.path,
            subject,
            address,
            allowed,
        )
