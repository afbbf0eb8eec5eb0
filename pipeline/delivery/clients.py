"""Closing clients, whose own way of it may hang while a broker is away, or raise what it cancelled itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

_STOP_SECONDS = 2.0


async def ended(stopping: Coroutine[Any, Any, None], seconds: float = _STOP_SECONDS) -> bool:
    """Whether a client has stopped well and in time.

    It runs in a task of its own: aiokafka awaits requests that it has just cancelled, and their CancelledError
    would be taken for one that is meant for the caller.
    """
    task = asyncio.create_task(stopping)
    done, _ = await asyncio.wait((task,), timeout=seconds)
    if not done:
        task.cancel()
        return False
    return not task.cancelled() and task.exception() is None


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Close a producer; one that cannot finish what is under way is dropped after seconds."""
    if not await ended(producer.stop()):
        # It would go on trying for ever, and aiokafka has no public way to end it.
        sender = producer._sender.sender_task  # noqa: SLF001
        if sender is not None:
            sender.cancel()
        await ended(producer.client.close())


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer, after it has left its group if it can."""
    if not await ended(consumer.stop()):
        await ended(consumer._client.close())  # noqa: SLF001 - as above
