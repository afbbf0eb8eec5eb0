"""Waiting for the brokers, and asking them whether they have transactions."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka.errors import KafkaError, UnknownError, UnsupportedVersionError

from pipeline.delivery.clients import stop_producer
from pipeline.delivery.commit.steps import new_producer
from pipeline.delivery.errors import BrokerMissingError, may_pass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_log = logging.getLogger(__name__)

T = TypeVar("T")

BROKER_WAIT_SECONDS = 60.0
_RETRY_SECONDS = 0.25


async def patiently(call: Callable[[], Awaitable[T]], limit: float) -> T:
    """What a call to the brokers gives; it is made again while they do not answer, and that is said once.

    Args:
        call: makes it, each time anew.
        limit: seconds.

    Raises:
        BrokerMissingError: they did not answer in time.
        KafkaError: they refuse.
    """
    deadline = time.monotonic() + limit
    said = False
    while True:
        try:
            return await call()
        except (KafkaError, TimeoutError, OSError) as error:
            if isinstance(error, KafkaError) and not may_pass(error):
                raise
            reason = str(error) or type(error).__name__
            if time.monotonic() >= deadline:
                raise BrokerMissingError(
                    f"the Kafka brokers do not answer ({reason}), waited {limit:g} s"
                ) from error
        if not said:
            _log.info("waiting up to %g s for the Kafka brokers (%s)", limit, reason)
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
