"""The transport: Faust's aiokafka driver with our consumer, and every client made with the same options."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from faust.transport.drivers import aiokafka as driver

from pipeline.delivery.clients import ended, stop_producer
from pipeline.delivery.guarantee import BROKER_WAIT_SECONDS, patiently
from pipeline.delivery.plugin.consumer import DeliveryConsumer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.delivery.app import DeliveryApp

_FLUSH_SECONDS = 5.0


class DeliveryProducer(driver.Producer):
    """Faust's producer, for everything but the tables of this package; it never waits without a limit."""

    app: DeliveryApp
    mundane_level = "debug"

    def _settings_default(self) -> Mapping[str, Any]:
        settings = dict(super()._settings_default())
        for name in ("bootstrap_servers", "security_protocol"):
            settings.pop(name, None)
        return {**settings, **self.app.client_options, "acks": "all"}

    def _settings_auth(self) -> Mapping[str, Any]:
        return {}

    async def on_start(self) -> None:
        """Connect, as soon as the brokers answer."""

        async def connect() -> None:
            if self._producer is None:
                await super(DeliveryProducer, self).on_start()
            else:
                await self._producer.start()

        await patiently(connect, BROKER_WAIT_SECONDS)

    async def on_stop(self) -> None:
        """As Faust's, within seconds."""
        producer = self._producer
        if not await ended(super().on_stop()) and producer is not None:
            await stop_producer(producer)

    async def flush(self) -> None:
        """Wait until everything is sent.

        Raises:
            TimeoutError: the brokers do not take it.
        """
        async with asyncio.timeout(_FLUSH_SECONDS):
            # The buffer gives up after a tenth of a second without progress.
            while self.buffer.size:
                await self.buffer.flush()
            await super().flush()


class DeliveryTransport(driver.Transport):
    """Faust's aiokafka transport; see the module."""

    Consumer = DeliveryConsumer
    Producer = DeliveryProducer

    async def _create_topic(self, *args: Any, **kwargs: Any) -> None:
        create = super()._create_topic
        await patiently(lambda: create(*args, **kwargs), BROKER_WAIT_SECONDS)
