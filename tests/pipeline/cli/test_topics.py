import json

from pipeline.kafka.topics import TOPICS

NAMES = [topic.name for topic in TOPICS]


def test_create_and_check(ott, embedded_broker, topic_prefix):
    where = ["--bootstrap-servers", embedded_broker, "--topic-prefix", topic_prefix, "--partitions", "2"]
    done = ott("topics", "check", *where)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{topic_prefix}raw-events: topic is missing, expected present"
    assert done.stderr.splitlines() == [
        f"ott: {len(NAMES)} difference(s) at {embedded_broker}; create the missing ones with: ott topics create"
    ]
    done = ott("topics", "create", "--json", *where)
    assert done.returncode == 0
    assert json.loads(done.stdout)["partitions"] == {topic_prefix + name: 2 for name in NAMES}
    done = ott("topics", "check", "--json", *where)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    done = ott("topics", "check", "--json", *where, "--partitions", "3")
    assert done.returncode == 1
    assert json.loads(done.stdout)[0] == {
        "topic": f"{topic_prefix}raw-events",
        "what": "partition count",
        "expected": "3",
        "found": "2",
    }


def test_topics_that_exist_stay_as_they_are(ott, embedded_broker, topic_prefix):
    where = ["--bootstrap-servers", embedded_broker, "--topic-prefix", topic_prefix]
    assert ott("topics", "create", *where, "--partitions", "2").returncode == 0
    done = ott("topics", "create", *where, "--partitions", "4")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == f"{topic_prefix}raw-events: there already, 2 partitions"


def test_an_unreachable_broker_is_one_sentence_after_the_wait(ott, free_port):
    done = ott("topics", "create", "--wait", "0.5", "--bootstrap-servers", f"127.0.0.1:{free_port}")
    assert (done.returncode, done.stdout) == (3, "")
    waiting, sentence = done.stderr.splitlines()
    assert waiting.startswith(f"ott: waiting up to 0.5 s for a Kafka broker at 127.0.0.1:{free_port}")
    assert sentence.startswith(
        f"ott: no Kafka broker answers at 127.0.0.1:{free_port} (connection refused), waited 0.5 s; start one"
    )
