"""`ott model` on a topic: publish, list, show, roll back, train; and what is refused changes nothing."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.cli import model_topic
from pipeline.cli.model_topic import read_events
from pipeline.errors import MissingError
from pipeline.evaluation.model_book import IN_FORCE_KEY, ModelBook
from pipeline.kafka.follower import Follower, follow
from pipeline.kafka.topics import ensure_topics
from pipeline.lab.local.tansu import EmbeddedBroker
from pipeline.settings.schema import load_settings
from tests.pipeline.evaluation.models import model_file, newer_form, published


class Topic:
    """The topics of one test."""

    def __init__(self, servers, prefix):
        self.settings = load_settings(
            {"bootstrap_servers": servers, "topic_prefix": prefix, "partitions": 2}, {}
        )
        asyncio.run(ensure_topics(self.settings))
        self.where = ["--bootstrap-servers", servers, "--topic-prefix", prefix]

    def write(self, name, records):
        async def send():
            async with AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap_servers) as producer:
                sent = [
                    await producer.send(self.settings.topic(name), value, key, partition=0)
                    for key, value in records
                ]
                return [(await one).timestamp for one in sent]

        return asyncio.run(send())

    def book(self):
        """What a worker makes of it."""

        async def read():
            book = ModelBook()
            topic = self.settings.topic("model-config")
            async with follow(self.settings, [topic], from_oldest=True) as follower:
                while not follower.at_end:
                    for records in (await follower.poll()).values():
                        for got in records:
                            book.offer(got.key, got.value, got.timestamp, got.offset)
            return book

        return asyncio.run(read())


@pytest.fixture
def topic(embedded_broker, topic_prefix):
    return Topic(embedded_broker, topic_prefix)


@pytest.fixture
def files(tmp_path):
    """Files of two models, and their versions."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(model_file(name)[1])
    return model_file("a")[0], model_file("b")[0]


def test_models_are_published_listed_shown_and_rolled_back(ott, any_broker, topic_prefix, files):
    topic, (a, b) = Topic(any_broker, topic_prefix), files
    done = ott("model", "list", *topic.where)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "ott: no model is in force; put one there with: ott model publish FILE\n"

    assert ott("model", "publish", "a", *topic.where).stdout == f"model {a} is in force; before it: none\n"
    assert ott("model", "publish", "b", *topic.where).stdout == f"model {b} is in force; before it: {a}\n"
    assert ott("model", "publish", "b", *topic.where).stdout == f"model {b} is in force already\n"
    book = topic.book()
    assert (book.newest.version, book.refused) == (b, None)

    listed = json.loads(ott("model", "list", *topic.where, "--json").stdout)
    assert (listed["in_force"], listed["refused"]) == (b, None)
    assert listed["by"]
    assert [(one["version"], one["in_force"], one["trained_on"]) for one in listed["models"]] == [
        (b, True, "b"),
        (a, False, "a"),
    ]
    lines = ott("model", "list", *topic.where).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [b, a]
    assert f"in force, by {listed['by']}" in lines[0]

    assert "data: b" in ott("model", "show", "in-force", *topic.where).stdout
    assert "data: a" in ott("model", "show", a, *topic.where).stdout

    # The one before; and again, which is back where it was.
    assert ott("model", "rollback", *topic.where).stdout == f"model {a} is in force; before it: {b}\n"
    assert ott("model", "rollback", *topic.where).stdout == f"model {b} is in force; before it: {a}\n"
    assert ott("model", "rollback", a, *topic.where).stdout == f"model {a} is in force; before it: {b}\n"
    assert topic.book().newest.version == a

    done = ott("model", "rollback", "none", *topic.where)
    assert done.stdout == f"no model is in force; before it: {a}\n"
    assert topic.book().newest.version == "none"
    done = ott("model", "show", "in-force", *topic.where)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no model is in force" in done.stderr
    assert ott("model", "rollback", *topic.where).stdout == f"model {a} is in force; before it: none\n"


def test_a_dry_run_writes_nothing(ott, topic, files):
    a, _ = files
    done = ott("model", "publish", "a", "--dry-run", *topic.where)
    assert done.stdout == f"model {a} would be in force; before it: none\n"
    assert topic.book().newest is None
    ott("model", "publish", "a", *topic.where)
    done = ott("model", "rollback", "none", "--dry-run", *topic.where)
    assert done.stdout == f"no model would be in force; before it: {a}\n"
    assert topic.book().newest.version == a


def test_the_shipped_model_can_be_published(ott, topic):
    assert ott("model", "publish", "--shipped", *topic.where).returncode == 0
    assert topic.book().publication is not None


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("cut", model_file("a")[1][:-10], "cut: its checksum does not fit"),
        ("new", newer_form(model_file("a")[1]), "new: has form"),
        ("no", b"{}", "no: is not a model file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_anything_is_written(
    ott, topic, tmp_path, name, data, message
):
    (tmp_path / name).write_bytes(data)
    done = ott("model", "publish", name, *topic.where)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ott: {message}")
    assert topic.book().newest is None


def test_what_others_wrote_to_the_topic_is_named_and_can_be_left(ott, topic, files):
    a, b = files
    ott("model", "publish", "a", *topic.where)
    (key, data), in_force = published("b")
    topic.write("model-config", [(key, data[:-1]), in_force, (b"\xff", b"?"), (b"model/\xff", b"?")])
    done = ott("model", "list", *topic.where)
    assert done.returncode == 0
    assert f"ott: model {b}: its checksum does not fit" in done.stderr
    assert f"refused: model {b}: its checksum" in done.stdout
    done = ott("model", "rollback", b, *topic.where)
    assert (done.returncode, done.stdout) == (2, "")
    assert ott("model", "rollback", *topic.where).stdout == f"model {a} is in force; before it: none\n"
    # The same version as it should be.
    topic.write("model-config", [in_force])
    assert ott("model", "publish", "b", *topic.where).stdout == f"model {b} is in force; before it: none\n"
    topic.write("model-config", [(IN_FORCE_KEY, b"{")])
    assert "cannot be read" in ott("model", "list", *topic.where).stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["publish"], 2, "ott: give the FILE of a model, or --shipped"),
        (["publish", "m", "--shipped"], 2, "ott: give the FILE of a model, or --shipped"),
        (["publish", "nothing"], 3, "ott: the model nothing cannot be read: No such file"),
        (["train", "--out", "m"], 2, "ott: give a FILE, or --from T"),
        (["train", "f", "--from", "2026-01-01T00:00:00Z", "--out", "m"], 2, "ott: give a FILE, or --from T"),
        (["train", "--to", "2026-01-01T00:00:00Z", "--out", "m"], 2, "ott: give a FILE, or --from T"),
        (["train", "--from", "yesterday", "--out", "m"], 2, "ott: --from yesterday: must be an RFC 3339"),
        (
            ["train", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z", "--out", "m"],
            2,
            "ott: --from 2026-01-02T00:00:00Z is not before the end, 2026-01-01T00:00:00.000Z",
        ),
    ],
)
def test_what_contradicts_itself_is_named(ott, arguments, status, message):
    done = ott("model", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(message)


def test_a_version_that_is_not_there_and_a_broker_that_is_not_there_are_named(ott, topic, free_port):
    done = ott("model", "rollback", "0123456789abcdef", *topic.where)
    assert done.returncode == 2
    assert "there is no model '0123456789abcdef' on the topic; see: ott model list" in done.stderr
    done = ott("model", "rollback", *topic.where)
    assert done.returncode == 1
    done = ott("model", "list", "--bootstrap-servers", f"127.0.0.1:{free_port}", "--wait", "0")
    assert done.returncode == 3
    done = ott("model", "list", *topic.where[:2], "--topic-prefix", f"{topic.where[3]}x-")
    assert done.returncode == 3
    assert "there is no topic" in done.stderr


def test_the_events_of_a_time_are_read_in_their_order(apache_kafka, topic_prefix):
    # The embedded broker ignores LogAppendTime, and acknowledges other timestamps than it keeps.
    topic = Topic(apache_kafka, topic_prefix)
    values = [b"%d" % number for number in range(1_000)]
    times = topic.write("raw-events", [(None, value) for value in values])

    async def read(since, until):
        found = []
        async for records in read_events(topic.settings, since, until):
            found += [record.value for record in records]
        return found

    middle = times[500]
    assert asyncio.run(read(0, times[-1] + 1)) == values
    early, late = asyncio.run(read(0, middle)), asyncio.run(read(middle, times[-1] + 1))
    assert early + late == values
    assert asyncio.run(read(times[-1] + 1, times[-1] + 2)) == []


async def test_a_broker_that_falls_silent_is_not_waited_for_for_ever(topic_prefix, monkeypatch):
    monkeypatch.setattr(model_topic, "_PATIENCE_S", 1.0)
    with EmbeddedBroker() as broker:
        settings = load_settings(
            {"bootstrap_servers": broker.bootstrap_servers, "topic_prefix": topic_prefix}, {}
        )
        await ensure_topics(settings)
        async with Follower(settings.kafka_client_options(), [settings.topic("raw-events")]) as follower:
            await follower.connect()
            broker.stop()
            with pytest.raises(MissingError, match="has sent nothing for 1 s"):
                async for _ in model_topic._polled(settings, follower):
                    pass


def test_a_model_is_trained_on_the_topic(ott, topic, tmp_path):
    options = "--events 4500 --users 120 --seed 2 --duration 12h --stories quiet --output events.jsonl"
    assert ott("generate", *options.split()).returncode == 0
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()
    topic.write("raw-events", [(None, line) for line in lines])
    trained = ["model", "train", *topic.where, "--from", "2026-01-01T00:00:00Z", "--out", "m"]
    done = ott(*trained, "--trees", "10", "--samples", "64", "--alert-rate", "0.01")
    assert done.returncode == 0, done.stderr
    shown = json.loads(ott("model", "show", "m", "--json").stdout)
    assert "judged events of the topic raw-events from 2026-01-01T00:00:00.000Z to" in shown["data"]
    done = ott(*trained, "--to", "2026-01-02T00:00:00Z")
    assert done.returncode == 2
    assert done.stderr.startswith("ott: the topic raw-events from 2026-01-01T00:00:00.000Z to ")
    assert "0 scored minutes are too few" in done.stderr
