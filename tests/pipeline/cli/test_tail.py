import asyncio
import json
import signal
import subprocess

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.kafka.topics import ensure_topics
from pipeline.runbook import GUIDANCE
from pipeline.settings.schema import load_settings

VERDICT = {
    "schema": "risk-verdict/1",
    "subject": {"type": "user", "id": "u-1"},
    "user_id": "u-1",
    "region": "NL",
    "event_type": "PLAY",
    "event_time": "2026-03-01T12:00:00.000Z",
    "risk_level": "HIGH",
    "score": 5,
    "findings": [{"rule_id": "privacy.consent_missing", "summary": "GDPR asks for consent."}],
    "late": False,
}
LINE = (
    "2026-03-01T12:00:00.000Z  HIGH    5  user u-1 (NL, PLAY)"
    "  GDPR asks for consent. [privacy.consent_missing]"
)


@pytest.fixture
def where(any_broker, topic_prefix):
    settings = load_settings(
        {"bootstrap_servers": any_broker, "topic_prefix": topic_prefix, "partitions": 2}, {}
    )
    asyncio.run(ensure_topics(settings))
    return ["--bootstrap-servers", any_broker, "--topic-prefix", topic_prefix]


def publish(where, topic, *values):
    async def send():
        producer = AIOKafkaProducer(bootstrap_servers=where[1])
        await producer.start()
        try:
            for value in values:
                await producer.send_and_wait(where[3] + topic, value, key=b"u-1")
        finally:
            await producer.stop()

    asyncio.run(send())


def encode(**changes):
    return json.dumps({**VERDICT, **changes}).encode()


def test_it_shows_what_is_there_without_colour_where_there_is_no_terminal(ott, where):
    publish(where, "flagged-events", encode())
    done = ott("tail", *where, "--from-beginning", "--count", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, LINE + "\n", "")


def test_no_color_is_honoured_where_a_terminal_is_claimed(ott, where):
    publish(where, "flagged-events", encode())
    coloured = ott("tail", *where, "--from-beginning", "--count", "1", FORCE_COLOR="1").stdout
    plain = ott("tail", *where, "--from-beginning", "--count", "1", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[1;31m" in coloured
    assert "31m" not in plain


def test_filters_choose(ott, where):
    publish(where, "flagged-events", encode(risk_level="LOW"), encode(user_id="u-2"), encode(score=9))
    done = ott(
        "tail", *where, "--from-beginning", "--count", "1", "--level", "high", "--json", "--user", "u-2"
    )
    assert json.loads(done.stdout)["user_id"] == "u-2"
    done = ott(
        "tail", *where, "--from-beginning", "--count", "1", "--rule", "privacy", "--level", "high", "--json"
    )
    assert json.loads(done.stdout)["risk_level"] == "HIGH"


def test_json_gives_verdicts_byte_for_byte_and_other_records_in_an_envelope(ott, where):
    publish(where, "flagged-events", encode(region="São"))
    done = ott("tail", *where, "--from-beginning", "--count", "1", "--json")
    assert done.stdout.encode() == encode(region="São") + b"\n"
    publish(where, "raw-events", b'{\n"a":1}')
    done = ott("tail", "raw-events", *where, "--from-beginning", "--count", "1", "--json")
    document = json.loads(done.stdout)
    assert document["payload"] == '{\n"a":1}'
    assert document["source"]["topic"] == "raw-events"
    assert document["source"]["key"] == "u-1"


def test_it_follows_what_comes_and_ctrl_c_is_130(ott_command, where, tmp_path):
    publish(where, "flagged-events", encode(score=1))
    with subprocess.Popen(
        [*ott_command, "tail", *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        try:
            # The old verdict is not shown; which later one comes first depends on when it began to follow.
            for score in range(2, 30):
                publish(where, "flagged-events", encode(score=score))
                asyncio.run(asyncio.sleep(0.2))
            assert " HIGH   " in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--level", "severe"], "--level severe is unknown; use LOW, MEDIUM or HIGH"),
        (["failed-events", "--level", "LOW"], "--level and --rule are of verdicts"),
        (["raw-events", "--rule", "privacy"], "--level and --rule are of verdicts"),
    ],
)
def test_filters_that_make_no_sense_are_refused(ott, arguments, message):
    done = ott("tail", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ott: {message}")


def test_a_topic_that_is_not_there_is_named(ott, embedded_broker, topic_prefix):
    done = ott("tail", "nope", "--bootstrap-servers", embedded_broker, "--topic-prefix", topic_prefix)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ott: there is no topic {topic_prefix}nope at {embedded_broker}")


def test_an_unreachable_broker_is_named(ott, free_port):
    done = ott("tail", "--bootstrap-servers", f"127.0.0.1:{free_port}", "--wait", "0")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ott: no Kafka broker answers at 127.0.0.1:{free_port}")


def test_the_runbook_is_shown_on_request_below_the_verdict(ott, where):
    publish(where, "flagged-events", encode())
    shown = ott("tail", *where, "--from-beginning", "--count", "1", "--runbook").stdout
    assert shown == f"{LINE}\n    [privacy.consent_missing] {GUIDANCE['privacy.consent_missing'].runbook}\n"
    as_json = ott("tail", *where, "--from-beginning", "--count", "1", "--runbook", "--json").stdout
    assert as_json.encode() == encode() + b"\n"
