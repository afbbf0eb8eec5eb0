"""Waiting for brokers, asking them for transactions, and stopping while they are away."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition

from pipeline.delivery.clients import (
    ended,
    has_transactions,
    new_producer,
    patiently,
    stop_consumer,
    stop_producer,
)
from pipeline.delivery.errors import BrokerMissingError
from pipeline.lab.local.tansu import EmbeddedBroker


def options(servers: str) -> dict[str, str]:
    return {"bootstrap_servers": servers, "security_protocol": "PLAINTEXT"}


async def test_the_embedded_broker_has_no_transactions(embedded_broker: str, topic_prefix: str) -> None:
    assert await has_transactions(options(embedded_broker), topic_prefix, 30) is False


async def test_apache_kafka_has(apache_kafka: str, topic_prefix: str) -> None:
    assert await has_transactions(options(apache_kafka), topic_prefix, 30) is True


async def test_silence_is_not_taken_for_a_no(free_port: int) -> None:
    with pytest.raises(BrokerMissingError, match="do not say whether they have transactions"):
        await has_transactions(options(f"127.0.0.1:{free_port}"), "app", 2)


async def test_a_call_is_made_again_until_the_brokers_answer() -> None:
    calls = 0

    async def call() -> str:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise KafkaConnectionError("away")
        return "answer"

    assert await patiently(call, 30) == "answer"
    assert calls == 3


async def test_waiting_has_a_limit_and_a_refusal_is_not_waited_for() -> None:
    async def away() -> None:
        raise KafkaConnectionError("away")

    async def refuse() -> None:
        raise TopicAuthorizationFailedError

    with pytest.raises(BrokerMissingError, match=r"do not answer .*away.*, waited 0.3 s"):
        await patiently(away, 0.3)
    with pytest.raises(TopicAuthorizationFailedError):
        await patiently(refuse, 30)


async def test_a_cancellation_inside_of_a_client_is_not_ours() -> None:
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    assert await ended(cancels_itself()) is False
    assert await ended(asyncio.sleep(0)) is True
    assert await ended(asyncio.sleep(60), 0.1) is False


async def test_clients_of_a_broker_that_is_gone_are_closed_in_time() -> None:
    with EmbeddedBroker() as broker:
        producer = new_producer(options(broker.bootstrap_servers), 15)
        consumer = AIOKafkaConsumer(**options(broker.bootstrap_servers), auto_offset_reset="earliest")
        await producer.start()
        await consumer.start()
        await producer.send_and_wait("there", b"value")
        consumer.assign([TopicPartition("there", 0)])
        await consumer.getmany(timeout_ms=500)
    await producer.send("there", b"late")
    began = time.monotonic()
    await stop_producer(producer)
    await stop_consumer(consumer)
    assert time.monotonic() - began < 15
