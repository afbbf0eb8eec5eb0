import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ProducerFenced

from pipeline.errors import MissingError, UsageError
from pipeline.lab.local.apache import KafkaCluster
from pipeline.lab.local.apache_files import ClusterState, read_state, write_state
from pipeline.lab.local.ports import HOST, is_free, kafka_answers

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("local_kafka")]


async def _create(servers, topic, partitions=1, replicas=1):
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(topic, partitions, replicas)])
    finally:
        await admin.close()
    assert [error for _, error, _ in answer.topic_errors] == [0]


async def _send(servers, topic, values, **options):
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", **options) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"k")


async def _read(servers, topic, isolation_level="read_committed"):
    """All values of the topic's only partition, as a consumer with this isolation level sees them."""
    partition = TopicPartition(topic, 0)
    values = []
    async with AIOKafkaConsumer(
        bootstrap_servers=servers, isolation_level=isolation_level, enable_auto_commit=False
    ) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, 0)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                values += [record.value for record in records]
    return values


@pytest.mark.parametrize("nodes", [0, 2, 4])
def test_a_size_that_is_neither_one_nor_three_is_refused(nodes, tmp_path):
    with pytest.raises(UsageError, match="1 node or 3"):
        KafkaCluster(nodes=nodes, directory=tmp_path)


def test_an_empty_directory_holds_no_kafka(tmp_path):
    with pytest.raises(MissingError, match="ott kafka start"):
        KafkaCluster.at(tmp_path)


def test_a_state_file_of_something_else_is_named(tmp_path):
    (tmp_path / "cluster.json").write_text('{"schema": "other/9"}')
    with pytest.raises(MissingError, match=r"cluster\.json.*other/9"):
        KafkaCluster.at(tmp_path)


def test_a_busy_port_is_named_and_leaves_nothing_behind(tmp_path):
    directory = tmp_path / "kafka"
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MissingError, match=f"port {port} on 127.0.0.1"):
            KafkaCluster(port=port, directory=directory).start()
    assert read_state(directory) is None


@pytest.mark.slow
async def test_committed_data_survives_a_kill_and_the_cluster_is_found_by_its_directory(tmp_path):
    cluster = KafkaCluster(nodes=1, directory=tmp_path / "kafka")
    try:
        cluster.start()
        sockets = psutil.Process(cluster.pid(1)).net_connections(kind="inet")
        listening = {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}
        assert {ip.removeprefix("::ffff:") for ip in listening} == {HOST}
        await _create(cluster.bootstrap_servers, "t")
        await _send(cluster.bootstrap_servers, "t", [b"1", b"2"])

        cluster.kill(1)
        assert cluster.pid(1) is None
        assert not cluster.status()[0].answers
        with pytest.raises(MissingError, match=r"node 1 .* does not run"):
            cluster.kill(1)

        # Another process would find it like this.
        found = KafkaCluster.at(tmp_path / "kafka")
        assert found.bootstrap_servers == cluster.bootstrap_servers
        found.start()
        assert [node.answers for node in cluster.start().status()] == [True]
        assert cluster.pid(1) == found.pid(1)
        await _send(cluster.bootstrap_servers, "t", [b"3"])
        assert await _read(cluster.bootstrap_servers, "t") == [b"1", b"2", b"3"]

        with pytest.raises(UsageError, match="1 node"):
            KafkaCluster(nodes=3, directory=tmp_path / "kafka")
        with pytest.raises(UsageError, match="on port"):
            KafkaCluster(port=1, directory=tmp_path / "kafka")
    finally:
        cluster.delete()
    assert not (tmp_path / "kafka").exists()
    assert [node.pid for node in cluster.status()] == [None]


def test_another_programs_process_is_never_signalled(tmp_path):
    # A state file from before a reboot: the pid in it belongs to somebody else by now.
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        try:
            cluster = KafkaCluster(directory=tmp_path)
            state = cluster._state
            old = type(state)(state.cluster_id, (type(state.nodes[0])(1, 1, 2, bystander.pid),))
            write_state(tmp_path, old)
            found = KafkaCluster.at(tmp_path)
            assert found.pid(1) is None
            with pytest.raises(MissingError, match="does not run"):
                found.kill(1)
            found.stop()
            assert bystander.poll() is None
        finally:
            bystander.kill()


@pytest.mark.slow
async def test_of_three_nodes_one_can_be_lost_frozen_and_restarted():
    with KafkaCluster(nodes=3) as cluster:
        servers = cluster.bootstrap_servers
        assert len(servers.split(",")) == 3
        await _create(servers, "t", replicas=3)
        await _send(servers, "t", [b"1"])
        async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
            cluster.kill(1)
            await producer.send_and_wait("t", b"2", key=b"k")
            cluster.restart(1)
            cluster.freeze(2)
            assert cluster.pid(2) is not None
            assert not kafka_answers(cluster.status()[1].port)
            cluster.thaw(2)
            with cluster.slowed(2):
                begun = time.monotonic()
                answers = sum(kafka_answers(cluster.status()[1].port) for _ in range(5))
                assert answers > 0
                # At least one of ten requests fell into a fifth of a second of ice.
                assert time.monotonic() - begun > 0.1
            await producer.send_and_wait("t", b"3", key=b"k")
            cluster.restart(3)
        values = await _read(servers, "t")
        # A send whose answer was lost with the node is repeated: at least once, in order.
        assert sorted(set(values)) == [b"1", b"2", b"3"]
        assert [node.answers for node in cluster.status()] == [True] * 3
        pids = [node.pid for node in cluster.status()]
        ports = [node.port for node in cluster.status()]
    assert all(is_free(port) for port in ports)
    assert not any(_is_kafka(pid) for pid in pids)
    assert not cluster.directory.exists()


_OWNER = """
import sys, time
from pathlib import Path
from pipeline.lab.local.apache import KafkaCluster
with KafkaCluster(directory=Path(sys.argv[1])) as cluster:
    print(cluster.pid(1), flush=True)
    time.sleep(600)
"""


def _is_kafka(pid):
    try:
        return "kafka.Kafka" in psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


@pytest.mark.slow
def test_a_kafka_of_a_with_block_does_not_outlive_a_killed_owner(tmp_path):
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        pid = int(owner.stdout.readline())
        assert _is_kafka(pid)
        os.kill(owner.pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while _is_kafka(pid):
            assert time.monotonic() < end, f"Kafka {pid} outlived its owner"
            time.sleep(0.1)
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()


async def test_aborted_records_are_invisible_to_read_committed(apache_kafka, topic_prefix):
    topic = f"{topic_prefix}t"
    await _create(apache_kafka, topic)
    async with AIOKafkaProducer(
        bootstrap_servers=apache_kafka, transactional_id=f"{topic_prefix}id"
    ) as producer:
        async with producer.transaction():
            await producer.send(topic, b"committed", key=b"k")
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", key=b"k")
        await producer.abort_transaction()
    assert await _read(apache_kafka, topic) == [b"committed"]
    assert await _read(apache_kafka, topic, "read_uncommitted") == [b"committed", b"aborted"]


async def test_offsets_and_outputs_of_a_transaction_become_visible_together(apache_kafka, topic_prefix):
    topic, group = f"{topic_prefix}t", f"{topic_prefix}g"
    partition = TopicPartition(topic, 0)
    await _create(apache_kafka, topic)

    async def committed():
        async with AIOKafkaConsumer(bootstrap_servers=apache_kafka, group_id=group) as consumer:
            consumer.assign([partition])
            return await consumer.committed(partition)

    async with AIOKafkaProducer(
        bootstrap_servers=apache_kafka, transactional_id=f"{topic_prefix}id"
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", key=b"k")
        await producer.send_offsets_to_transaction({partition: 7}, group)
        await producer.abort_transaction()
        assert await committed() is None
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed", key=b"k")
            await producer.send_offsets_to_transaction({partition: 8}, group)
    assert await committed() == 8
    assert await _read(apache_kafka, topic) == [b"committed"]


async def test_a_second_producer_of_one_id_shuts_out_the_first(apache_kafka, topic_prefix):
    topic, same = f"{topic_prefix}t", f"{topic_prefix}id"
    await _create(apache_kafka, topic)
    async with AIOKafkaProducer(bootstrap_servers=apache_kafka, transactional_id=same) as zombie:
        await zombie.begin_transaction()
        await zombie.send_and_wait(topic, b"zombie", key=b"k")
        async with AIOKafkaProducer(bootstrap_servers=apache_kafka, transactional_id=same) as owner:
            async with owner.transaction():
                await owner.send_and_wait(topic, b"owner", key=b"k")
            with pytest.raises(ProducerFenced):
                await zombie.commit_transaction()
    assert await _read(apache_kafka, topic) == [b"owner"]


def test_a_cluster_id_is_never_taken_for_an_option_of_kafkas_tool() -> None:
    assert not any(ClusterState.new([1], [2]).cluster_id.startswith("-") for _ in range(1_000))
