"""The transport: Faust's aiokafka driver, with clients that take our options and never wait without a limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from faust.transport.drivers import aiokafka as driver

from pipeline.delivery.clients import BROKER_WAIT_SECONDS, ended, patiently, stop_producer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from faust.types import AppT
    from yarl import URL

_FLUSH_SECONDS: Final = 5.0


class DeliveryProducer(driver.Producer):
    """Faust's producer, for everything but the tables of this package.

    Args:
        transport: Faust's.
        client_options: bootstrap servers and security, as aiokafka names them.
        kwargs: Faust's.
    """

    mundane_level = "debug"

    def __init__(
        self, transport: DeliveryTransport, client_options: Mapping[str, Any], **kwargs: Any
    ) -> None:
        self._client_options = client_options
        super().__init__(transport, **kwargs)

    def _settings_default(self) -> Mapping[str, Any]:
        settings = dict(super()._settings_default())
        for name in ("bootstrap_servers", "security_protocol"):
            settings.pop(name, None)
        return {**settings, **self._client_options, "acks": "all"}

    def _settings_auth(self) -> Mapping[str, Any]:
        return {}

    async def on_start(self) -> None:
        """Connect, and wait for the brokers if they do not answer yet."""

        async def connect() -> None:
            if self._producer is None:
                await super(DeliveryProducer, self).on_start()
            else:
                await self._producer.start()

        await patiently(connect, BROKER_WAIT_SECONDS)

    async def on_stop(self) -> None:
        """As Faust's, but within seconds."""
        producer = self._producer
        if not await ended(super().on_stop()) and producer is not None:
            await stop_producer(producer)

    async def flush(self) -> None:
        """Wait until everything is sent.

        Raises:
            TimeoutError: the brokers do not take it.
        """
        async with asyncio.timeout(_FLUSH_SECONDS):
            # Faust's buffer gives up after a tenth of a second without progress.
            while self.buffer.size:
                await self.buffer.flush()
            await super().flush()


class DeliveryTransport(driver.Transport):
    """Makes producers with our options, and waits for brokers when it creates topics.

    Args:
        url: Faust's.
        app: Faust's.
        client_options: bootstrap servers and security, as aiokafka names them.
    """

    def __init__(self, url: list[URL], app: AppT, client_options: Mapping[str, Any]) -> None:
        super().__init__(url, app)
        self._client_options = client_options

    def create_producer(self, **kwargs: Any) -> DeliveryProducer:
        """Make a producer; Faust calls it."""
        return DeliveryProducer(self, self._client_options, **kwargs)

    async def _create_topic(self, *args: Any, **kwargs: Any) -> None:
        create = super()._create_topic
        await patiently(lambda: create(*args, **kwargs), BROKER_WAIT_SECONDS)
