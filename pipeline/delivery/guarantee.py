"""Waiting for the brokers, and asking them whether they have transactions."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError, UnknownError, UnsupportedVersionError

from pipeline.delivery.errors import BrokerMissingError
from pipeline.delivery.producers import new_producer, stop_producer

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 3.0
_RETRY_SECONDS = 0.25


async def wait_for_brokers(bootstrap_servers: str, limit: float) -> None:
    """Return when one of the bootstrap servers accepts a connection; say once that it waits.

    Raises:
        BrokerMissingError: none did within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    said = False
    while True:
        reason = ""
        for address in bootstrap_servers.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            except (OSError, TimeoutError) as error:
                reason = "no such host" if isinstance(error, socket.gaierror) else "no answer"
                continue
            writer.close()
            return
        if time.monotonic() >= deadline:
            raise BrokerMissingError(
                f"no Kafka broker answers at {bootstrap_servers} ({reason}), waited {limit:g} s; start one, or "
                "give the address of another"
            )
        if not said:
            _log.info("waiting up to %g s for a Kafka broker at %s", limit, bootstrap_servers)
            said = True
        await asyncio.sleep(_RETRY_SECONDS)


async def has_transactions(options: Mapping[str, Any], application: str, limit: float) -> bool:
    """Whether the brokers have transactions. The list of their APIs does not tell; trying does.

    Args:
        options: bootstrap servers and security, as aiokafka names them.
        application: names the one transactional id that is used for asking.
        limit: seconds to wait for an answer.

    Raises:
        BrokerMissingError: there is no answer, or another one than yes or no. A "no" by mistake would quietly turn
            exactly-once into at-least-once.
    """
    producer = new_producer(
        options, limit, transactional_id=f"{application}.probe", transaction_timeout_ms=10_000
    )
    try:
        await asyncio.wait_for(producer.start(), limit)
    except (UnknownError, UnsupportedVersionError):
        return False
    except (KafkaError, TimeoutError) as error:
        raise BrokerMissingError(
            f"the brokers at {options['bootstrap_servers']} do not say whether they have transactions: "
            f"{str(error) or type(error).__name__}"
        ) from error
    finally:
        await stop_producer(producer)
    return True
