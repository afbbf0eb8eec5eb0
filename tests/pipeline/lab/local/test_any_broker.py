"""What both brokers must do for the pipeline, tried with the client that the pipeline uses."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def test_records_come_back_in_order_with_keys_headers_and_offsets(any_broker, topic_prefix):
    topic = f"{topic_prefix}raw-events"
    admin = AIOKafkaAdminClient(bootstrap_servers=any_broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    finally:
        await admin.close()

    async with AIOKafkaProducer(bootstrap_servers=any_broker) as producer:
        for n in range(100):
            await producer.send(
                topic, value=b"%d" % n, key=b"user", partition=n % 2, headers=[("n", b"%d" % n)]
            )
        await producer.flush()

    received = []
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=any_broker, auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        while len(received) < 100:
            record = await consumer.getone()
            received.append(record)

    for partition in (0, 1):
        own = [record for record in received if record.partition == partition]
        assert [record.offset for record in own] == list(range(50))
        assert [int(record.value) for record in own] == list(range(partition, 100, 2))
        assert {record.key for record in own} == {b"user"}
        assert [record.headers for record in own] == [(("n", record.value),) for record in own]


async def test_a_committed_offset_is_where_the_next_member_of_the_group_goes_on(
    any_broker, topic_prefix, request
):
    topic, group = f"{topic_prefix}raw-events", f"{topic_prefix}group"
    admin = AIOKafkaAdminClient(bootstrap_servers=any_broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=any_broker) as producer:
        for n in range(10):
            await producer.send_and_wait(topic, b"%d" % n)

    embedded = request.node.callspec.params["any_broker"] == "embedded_broker"
    options = {
        "bootstrap_servers": any_broker,
        "group_id": group,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        # The embedded broker makes the next member wait for nearly two of these; Kafka wants at least 6 s.
        "session_timeout_ms": 1000 if embedded else 6000,
        "heartbeat_interval_ms": 300,
    }
    async with AIOKafkaConsumer(topic, **options) as first:
        seen = [(await first.getone()).offset for _ in range(4)]
        (assigned,) = first.assignment()
        await first.commit({assigned: seen[-1] + 1})
    async with AIOKafkaConsumer(topic, **options) as second:
        assert (await second.getone()).offset == 4
