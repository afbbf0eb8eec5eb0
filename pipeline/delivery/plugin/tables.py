"""Faust's table manager, with the recovery of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from faust.tables.manager import TableManager

from pipeline.delivery.runtime import RecoverableTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from faust.app.base import App
    from faust.types.tables import CollectionT
    from mode import Service

    from pipeline.delivery.assignment.recovery import Recovery


class DeliveryTables(TableManager):
    """Starts and stops the parts of the delivery together with Faust's tables.

    Args:
        app: Faust's.
    """

    app: App
    mundane_level = "debug"

    def __init__(self, app: App, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._services: Sequence[Service] = ()

    def install(self, recovery: Recovery, services: Sequence[Service]) -> None:
        """Take over the parts of the delivery; the application calls it once, after it has made them.

        Args:
            recovery: it replaces Faust's.
            services: started after the changelogs are declared, in this order, and stopped in the opposite one.
        """
        self._recovery = recovery  # type: ignore[assignment]  # it replaces Faust's
        self._services = services

    def write_behind(self) -> Iterable[RecoverableTable]:
        """All tables."""
        return cast("Iterable[RecoverableTable]", self.values())

    def add(self, table: CollectionT) -> CollectionT:
        """As Faust's.

        Raises:
            TypeError: a table of another kind, whose changes would not be part of the commit.
        """
        if not isinstance(table, RecoverableTable):
            raise TypeError(
                f"table {table.name} must be a WriteBehindTable: others are not part of the commit"
            )
        return super().add(table)

    async def on_start(self) -> None:
        """Declare the changelogs, and start the services."""
        await self._update_channels()
        for service in self._services:
            await service.start()

    async def on_stop(self) -> None:
        """Stop reading, commit what is processed, and close the tables."""
        await self.app._fetcher.stop()  # noqa: SLF001 - as Faust's manager does
        for service in reversed(self._services):
            await service.stop()
        for table in self.values():
            await table.stop()
