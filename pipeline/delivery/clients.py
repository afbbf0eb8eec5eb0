"""Kafka clients: making producers, waiting for brokers, asking for transactions, and closing with a time limit."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownError, UnsupportedVersionError

from pipeline.delivery.errors import BrokerMissingError, may_pass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from aiokafka import AIOKafkaConsumer

_log = logging.getLogger(__name__)

T = TypeVar("T")

BROKER_WAIT_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 2.0
_MAX_BATCH_BYTES: Final = 1 << 19
_MAX_REQUEST_BYTES: Final = 1 << 22


def new_producer(options: Mapping[str, Any], request_timeout: float, **more: Any) -> AIOKafkaProducer:
    """Make a producer for whole record batches; the caller starts and stops it.

    Args:
        options: bootstrap servers and security, as aiokafka names them.
        request_timeout: seconds.
        more: further options of aiokafka.
    """
    return AIOKafkaProducer(
        **options,
        acks="all",
        linger_ms=0,
        max_batch_size=_MAX_BATCH_BYTES,
        max_request_size=_MAX_REQUEST_BYTES,
        request_timeout_ms=int(request_timeout * 1000),
        **more,
    )


async def patiently(call: Callable[[], Awaitable[T]], limit: float) -> T:
    """Return what a call to the brokers returns; retry while they do not answer, and log the wait once.

    Args:
        call: starts the request; called again for each attempt.
        limit: seconds.

    Raises:
        BrokerMissingError: the brokers did not answer within the limit.
        KafkaError: the brokers refuse, so a retry is useless.
    """
    deadline = time.monotonic() + limit
    logged = False
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
        if not logged:
            _log.info("waiting up to %g s for the Kafka brokers (%s)", limit, reason)
            logged = True
        await asyncio.sleep(_RETRY_SECONDS)


async def has_transactions(options: Mapping[str, Any], application: str, limit: float) -> bool:
    """Whether the brokers support transactions. Their list of APIs does not say so reliably, so we try one.

    Args:
        options: bootstrap servers and security, as aiokafka names them.
        application: prefix of the transactional id that is used for the attempt.
        limit: seconds to wait for an answer.

    Raises:
        BrokerMissingError: there is no clear yes or no. Taking that for a "no" would silently give up exactly-once.
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


async def ended(stopping: Coroutine[Any, Any, None], seconds: float = _STOP_SECONDS) -> bool:
    """Run a client's own stop; return whether it ended without an error within the time.

    It runs in a task of its own. aiokafka awaits requests that it has just cancelled, and their CancelledError would
    otherwise look as if the caller itself were cancelled.
    """
    task = asyncio.create_task(stopping)
    done, _ = await asyncio.wait((task,), timeout=seconds)
    if not done:
        task.cancel()
        return False
    return not task.cancelled() and task.exception() is None


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Close a producer. If it cannot finish its requests in time, drop them."""
    if not await ended(producer.stop()):
        # It would retry for ever, and aiokafka has no public way to end it.
        sender = producer._sender.sender_task  # noqa: SLF001
        if sender is not None:
            sender.cancel()
        await ended(producer.client.close())


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer, which leaves its group if the brokers answer in time."""
    if not await ended(consumer.stop()):
        await ended(consumer._client.close())  # noqa: SLF001 - as above
