"""Topics that change while workers run: what goes on by itself, and what ends a worker with a way out."""

import json
import time
import urllib.error
import urllib.request
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from pipeline.delivery.assignment.topic_metadata import TopicMetadata
from tests.stream.harness import Stream, killed_at_end
from tests.stream.web import event

NEVER = ("any", "0", "0")
PATIENCE_S = 4.0


@pytest.fixture
def stream(apache_kafka, topic_prefix, tmp_path):
    return Stream(apache_kafka, topic_prefix, tmp_path, 2, {"VICTIM_PATIENCE_S": str(PATIENCE_S)})


@pytest.fixture
def admin(apache_kafka):
    return AdminClient({"bootstrap.servers": apache_kafka})


def write(stream, number):
    users = [f"u{i}" for i in range(number)]
    stream.write("raw-events", [(None, user.encode(), json.dumps(event(user)).encode()) for user in users])


def done(futures):
    for future in futures.values():
        future.result(15)


def delete(admin, *topics):
    done(admin.delete_topics(list(topics)))


def create(admin, topic, partitions):
    deadline = time.monotonic() + 15
    while True:
        try:
            return done(admin.create_topics([NewTopic(topic, partitions, 1)]))
        except Exception:  # noqa: BLE001 - a deletion takes a moment
            assert time.monotonic() < deadline
            time.sleep(0.1)


def readiness(worker):
    try:
        with urllib.request.urlopen(f"{worker.address}/readyz", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 0, {}


def wait_for(what, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def trouble(worker):
    """Why it is not ready; the time before it is assigned and recovered apart."""
    status, body = readiness(worker)
    return body["reason"] if status == 503 and body["status"] == "trouble" else None


def test_partitions_added_to_a_source_are_said_seen_as_lag_and_end_the_worker(stream, admin):
    with stream.worker(kill=NEVER) as worker:
        worker.wait_ready()
        raw = stream.topic("raw-events")
        done(admin.create_partitions([NewPartitions(raw, 5)]))
        stream.write("raw-events", [(4, b"u", json.dumps(event("u")).encode()) for _ in range(3)])
        reason = wait_for(lambda: trouble(worker))
        assert f"topic {raw} has 5 partitions, 2 when this worker started" in reason
        assert "OTT_PARTITIONS=5" in reason
        wait_for(lambda: (worker.accounts() or {"lag": {}})["lag"].get(f"{raw}-4") == 3, PATIENCE_S)
        worker.wait_gone(60)
        assert worker.process.exit_code == 3
        assert worker.tail(1).strip() == f"ott: {reason}"


@pytest.mark.parametrize("gone", ["flagged-events", "raw-events", "rule-config", "failed-events"])
def test_a_topic_that_stays_away_ends_the_worker_and_is_named(stream, admin, gone):
    with stream.worker(kill=NEVER) as worker:
        worker.wait_ready()
        write(stream, 10)
        worker.wait_drained(10)
        delete(admin, stream.topic(gone))
        reason = wait_for(lambda: trouble(worker))
        assert f"topic {stream.topic(gone)} was deleted: " in reason
        assert ("OTT_APP_ID" in reason) is (gone in {"flagged-events", "raw-events"})
        wait_for(lambda: worker.is_gone, 30)
        assert worker.process.exit_code == 3
        assert worker.tail(1).strip() == f"ott: {reason}"


@pytest.mark.parametrize("table", ["users-v1", "alerts-v1"])
def test_a_changelog_that_was_made_anew_ends_the_worker(stream, admin, table):
    with stream.worker(kill=NEVER) as worker:
        worker.wait_ready()
        changelog = f"{stream.settings.app_id}-{table}-changelog"
        delete(admin, changelog)
        create(admin, changelog, 2)
        reason = wait_for(lambda: trouble(worker))
        assert f"topic {changelog} was deleted and made anew: tables and offsets" in reason
        worker.wait_gone(60)
        assert worker.process.exit_code == 3


def test_where_a_topic_is_only_written_to_work_goes_on(stream, admin):
    with stream.worker(kill=NEVER) as worker:
        worker.wait_ready()
        failed, journal = stream.topic("failed-events"), stream.topic("control-journal")
        delete(admin, failed)
        create(admin, failed, 2)
        done(admin.create_partitions([NewPartitions(journal, 3)]))
        wait_for(lambda: "made anew; its records are gone" in worker.tail(500))
        wait_for(lambda: f"topic {journal} has 3 partitions now" in worker.tail(500))
        write(stream, 10)
        stream.write("raw-events", [(None, b"u", b"no event")])
        assert worker.wait_drained(11)["failed"] == 1
        assert len(stream.read(failed)) == 1
        time.sleep(PATIENCE_S)
        assert readiness(worker)[0] == 200
        assert worker.tail(500).count("made anew; its records are gone") == 1


def test_an_assignment_by_metadata_without_the_topics_is_followed_by_a_good_one(stream):
    """The leader of the group asked a broker that had just come back and did not know its topics yet."""
    workers = []
    with killed_at_end(workers):
        workers.append(stream.worker("a", kill=NEVER, VICTIM_FORGETS="1"))
        reason = wait_for(lambda: trouble(workers[0]), 60)
        assert "no worker has partitions of" in reason
        workers.append(stream.worker("b", kill=NEVER, VICTIM_FORGETS="1"))
        write(stream, 20)
        for worker in workers:
            worker.wait_ready()
            wait_for(lambda worker=worker: readiness(worker)[0] == 200)
        wait_for(lambda: sum((worker.accounts() or {"read": 0})["read"] for worker in workers) == 20)
        assert "asking for another one" in workers[0].tail(500)


async def test_brokers_tell_partitions_and_where_they_have_them_ids(any_broker, topic_prefix):
    admin = AdminClient({"bootstrap.servers": any_broker})
    topic, missing = topic_prefix + "there", topic_prefix + uuid.uuid4().hex
    done(admin.create_topics([NewTopic(topic, 3, 1)]))
    metadata = TopicMetadata({"bootstrap_servers": any_broker}, 5.0)
    try:
        found = await metadata.ask([topic, missing])
        assert found[topic].partitions == 3
        assert found[missing] == (0, None)
        first = found[topic].topic_id
        delete(admin, topic)
        create(admin, topic, 3)
        again = (await metadata.ask([topic]))[topic].topic_id
        assert (first is None and again is None) or first != again
        assert missing not in admin.list_topics(timeout=10).topics
    finally:
        await metadata.close()
