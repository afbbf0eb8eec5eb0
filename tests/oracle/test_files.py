"""`FileJudge` agrees with the slow reading: order of outputs, accounts, and the rules on titles and devices."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.source import PlainRecord
from pipeline.judging.file import FileJudge
from pipeline.rules.ruleset import built_in
from tests.oracle.judge import Oracle
from tests.oracle.streams import START, as_line, encode, streams
from tests.oracle.subjects import Subjects
from tests.oracle.test_users import as_published
from tests.oracle.users import HOUR, MINUTE, SECOND, shown

PLACES = (None, ("raw-events", 0), ("raw-events", 1), ("raw-events-rekeyed", 0))


def expected_outputs(records):
    """(kind, value) of each output, and the accounts."""
    oracle = Oracle(built_in().version)
    subjects = Subjects(
        oracle.version, [(r.topic, r.partition) for r, is_request in records if not is_request]
    )
    accounts = dict.fromkeys(("read", "judged", "duplicate", "failed", "flagged", "requests"), 0)
    outputs = []
    for record, is_request in records:
        judged = (oracle.apply if is_request else oracle.judge)(record)
        if judged.ending == "request":
            accounts["requests"] += 1
            continue
        accounts["read"] += 1
        accounts[judged.ending] += 1
        if judged.ending == "failed":
            outputs.append(("failed", judged.reason))
        if judged.verdict is not None:
            accounts["flagged"] += 1
            outputs.append(("verdict", judged.verdict))
        if not is_request:
            closed = subjects.after((record.topic, record.partition), record.timestamp, judged)
            outputs += [("verdict", verdict) for verdict in closed]
    return outputs, accounts


def assert_file_agrees(records):
    lines = [as_line(record) for record, _ in records]
    judge = FileJudge(Evaluator(built_in(), "1"))
    outputs = list(judge.judge(io.BytesIO(b"\n".join(lines) + b"\n")))
    expected, accounts = expected_outputs(records)
    assert [kind for kind, _ in outputs] == [kind for kind, _ in expected]
    for (kind, value), (_, wanted) in zip(outputs, expected, strict=True):
        if kind == "failed":
            assert json.loads(value)["reason"] == wanted
        else:
            assert value == as_published(wanted, value)
    assert judge.counts.as_dict() == accounts
    assert accounts["read"] == accounts["judged"] + accounts["duplicate"] + accounts["failed"]


def known_as_request(record, is_request):
    """A request that cannot be told for one is an event's failure where no topic says what it is."""
    return is_request and record.value.startswith(b'{"schema"')


@given(streams(most=30, topics=PLACES, span=5 * HOUR))
def test_files_of_several_partitions(records):
    assert_file_agrees([(record, known_as_request(record, asked)) for record, asked in records])


PACE = (0, SECOND, SECOND, 20 * SECOND, 59_999, MINUTE, 10 * MINUTE)


@st.composite
def playback(draw):
    """Many playback events of few titles in several partitions, a share of which fails."""
    records = []
    fails = draw(st.sampled_from([1, 2, 2, 2, 3, 6]))
    steps = draw(st.sampled_from([PACE, PACE[:5]]))
    now = START
    for number in range(draw(st.sampled_from([25, 60, 120]))):
        now += draw(st.sampled_from(steps))
        time = now - draw(st.sampled_from([0, 0, 0, SECOND, MINUTE, 5 * MINUTE, 59 * MINUTE, 61 * MINUTE]))
        failed = draw(st.integers(0, 9)) < fails
        fields = {
            "event_id": f"e{number}",
            "user_id": f"u{number}",
            "device_id": draw(st.sampled_from(["d1", "d2"])),
            "content_id": draw(st.sampled_from(["c1", "c1", "c2"])),
            "event_type": draw(st.sampled_from(["ERROR", "PLAY"])) if failed else "HEARTBEAT",
            "timestamp": shown(time),
            "region": draw(st.sampled_from(["NL", "DE", "EU", "US", "FR", "BE", "IT"])),
            "is_eu": True,
            "has_consent": True,
            "ip_address": "192.0.2.1",
        }
        if failed and fields["event_type"] == "PLAY":
            fields["error_code"] = draw(st.sampled_from(["E1", "E2", "ERROR", "e"]))
        timestamp = draw(st.sampled_from([-1, time, time + SECOND, time - MINUTE]))
        topic, partition = draw(st.sampled_from(PLACES[1:]))
        records.append((PlainRecord(topic, partition, number, timestamp, None, encode(fields)), False))
    return records


@given(playback())
def test_titles_and_devices(records):
    assert_file_agrees(records)
