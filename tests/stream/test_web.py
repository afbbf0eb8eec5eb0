"""The web views of two workers on one stream."""

import asyncio
import json
import time
import uuid
from collections import Counter
from urllib.parse import quote

import pytest

from pipeline.assembly import build_evaluator
from pipeline.judging.file import AllUsers
from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web, event

EVENTS = 6_000


@pytest.fixture(scope="module")
def served(embedded_broker, tmp_path_factory):
    """Two workers that have judged generated events; the stream, and a client of both."""
    prefix = f"web-{uuid.uuid4().hex[:8]}."
    stream = Stream(
        embedded_broker, prefix, tmp_path_factory.mktemp("web"), variables={"OTT_JWT_SECRET": SECRET}
    )
    asyncio.run(ensure_topics(stream.settings))
    stream.write("raw-events", generated(EVENTS, seed=21).events)
    with stream.worker("a") as one, stream.worker("b") as other:
        one.wait_ready()
        other.wait_ready()
        web = Web([one, other])
        web.wait_covered()
        web.post("/process/drain?timeout=60")
        yield stream, web


@pytest.fixture
def stream(served):
    return served[0]


@pytest.fixture
def web(served):
    """The client; what a test paused goes on after it."""
    yield served[1]
    served[1].post("/process/resume")


def encoded(text):
    """As one part of a path; a client would take dots for directories."""
    return quote(text, safe="").replace(".", "%2E")


# -- any worker answers any request


def test_two_workers_answer_alike_for_every_key(stream, web):
    users = sorted(stream.expected().users)
    assert len(users) > 50
    owners = set()
    for key in users:
        user_id = encoded(key[1:].decode())
        for path in (f"/tables/users-v1/u{user_id}", f"/users/{user_id}", f"/users/{user_id}/segment"):
            first, second = (web.get(path, worker=number, name="analyst") for number in (0, 1))
            assert first == second, path
            owners.add(first.get("owner"))
    assert owners == {None, *(worker.address for worker in web.workers)}


@pytest.mark.parametrize("user_id", ["a/b", "a b", "a%2Fb", "ä?#&", ".", "..", "a+b"])
def test_an_id_may_be_any_text(web, user_id):
    web.post("/events", 202, name=None, body=event(user_id))
    web.post("/process/drain")
    for number in (0, 1):
        assert web.get(f"/users/{encoded(user_id)}", worker=number)["user_id"] == user_id


def test_a_key_that_nobody_has_is_told_alike(web):
    for path in ("/users/nobody", "/tables/users-v1/unobody", "/privacy/requests/nobody"):
        first, second = (web.call("GET", path, worker=number) for number in (0, 1))
        assert first.status == second.status == 404
        assert "pseudonym" not in first.body["detail"]
        assert first.body == second.body


def test_the_summary_is_that_of_the_whole_stream_wherever_it_is_asked(stream, web):
    accounts = stream.expected().accounts
    for number in (0, 1):
        summary = web.get("/stats/summary", worker=number, name="analyst")
        assert summary["coverage"] == {"partitions": 4, "answered": 4, "missing": []}
        assert summary["workers"] == 2
        assert summary["total_lag"] == 0
        assert summary["pseudonymised"] is False
        for name in ("judged", "duplicate", "failed", "flagged"):
            assert summary[name] == getattr(accounts, name), name
        assert sum(summary["risk_levels"].values()) == summary["judged"]


def test_the_latest_results_are_those_of_all_partitions(web):
    first, second = (web.get("/results/latest?limit=500", worker=number) for number in (0, 1))
    assert first["results"] == second["results"]
    assert {result["partition"] for result in first["results"]} == {0, 1, 2, 3}
    times = [result["judged_at"] for result in first["results"]]
    assert times == sorted(times, reverse=True)


def test_a_users_view_shows_the_window_with_networks_masked(stream, web):
    users = [key[1:].decode() for key in stream.expected().users]
    views = [web.get(f"/users/{encoded(user_id)}") for user_id in users[:40]]
    windows = [view["window"] for view in views if view["window"] is not None]
    assert windows
    for window in windows:
        assert window["events"] == sum(seen["events"] for seen in window["regions"])
        assert all(seen["name"].endswith(("/24", "/48")) for seen in window["networks"])
    flagged = [view for view in views if view["findings"]]
    for view in flagged:
        assert view["risk_level"] != "NONE"


# -- titles, regions and devices


def counted(stream):
    """Plays by title and region, events and failures by device, of the judged events that were not late."""
    evaluator, users = build_evaluator(stream.settings), AllUsers()
    plays, places, events, failures = Counter(), Counter(), Counter(), Counter()
    for record in stream.read(stream.topic("raw-events")):
        outcome = evaluator.judge(record, users)
        event = outcome.event
        if outcome.ending != "judged" or event is None or outcome.late:
            continue
        events[event.device_id] += 1
        if event.type == "PLAY":
            places[event.region] += 1
            plays[event.content_id] += 1
        if event.is_playback and event.failed:
            failures[event.device_id] += 1
    return plays, places, events, failures


def test_titles_regions_and_devices_are_told_alike_and_add_up(stream, web):
    plays, places, events, failures = counted(stream)
    asked = {
        "content": ("plays", plays),
        "region": ("plays", places),
        "device": ("events", dict(events.most_common(50))),
    }
    for dimension, (figure, wanted) in asked.items():
        assert len(wanted) > 5
        for name, count in wanted.items():
            path = f"/stats/{dimension}/{encoded(name)}"
            first, second = (web.get(path, worker=number, name="analyst") for number in (0, 1))
            assert first == second, path
            assert first[figure] == count, path
    summary = web.get("/stats/summary", name="analyst")
    assert summary["play_time_seconds"] > 0
    assert 0 < summary["error_rate"] < 1
    device = failures.most_common(1)[0][0]
    raw = web.get(f"/tables/titles-v1/sdevice:{encoded(device)}")
    assert raw["value"]["failed"] == failures[device]
    for path in ("content/nothing", "region/XX", "device/nothing"):
        assert web.call("GET", f"/stats/{path}").status == 404


def test_the_ranking_has_the_worst_title_first_wherever_it_is_asked(web):
    first, second = (web.get("/stats/content?limit=5", worker=number) for number in (0, 1))
    assert first["contents"] == second["contents"]
    assert first["coverage"]["missing"] == []
    lows = [one["error_rate"]["low"] for one in first["contents"]]
    assert len(lows) == 5
    assert lows == sorted(lows, reverse=True)
    worst = first["contents"][0]
    title = web.get(f"/stats/content/{encoded(worst['content_id'])}")
    assert {name: title[name] for name in worst} == worst
    assert sum(minute["plays"] for minute in title["minutes"]) <= title["plays"]


# -- ingest


def test_a_client_of_the_first_version_gets_202s_and_sees_its_events_judged(web):
    user_id = f"client-{uuid.uuid4().hex}"
    sent = [
        event(user_id, region=region, event_type=kind)
        for region, kind in zip(
            ("US", "EU", "CA", "UK", "DE"), ("play", "pause", "stop", "seek", "heartbeat"), strict=True
        )
    ]
    for number, one in enumerate(sent):
        answer = web.post("/events", 202, name=None, body=one, worker=number % 2)
        assert answer == {"status": "queued", "event_id": one["event_id"]}
    web.post("/process/drain")
    window = web.get(f"/users/{user_id}")["window"]
    assert window["events"] == len(sent)
    assert {seen["name"] for seen in window["regions"]} == {"US", "EU", "CA", "GB", "DE"}


@pytest.mark.parametrize(
    ("media_type", "pack"),
    [
        ("application/json", lambda events: json.dumps(events).encode()),
        (
            "application/x-ndjson",
            lambda events: b"\n".join(json.dumps(one).encode() for one in events) + b"\n",
        ),
    ],
)
def test_many_events_get_a_result_each(web, media_type, pack):
    events = [event(), {"event_id": "broken"}, event()]
    answer = web.post("/events", 202, name=None, body=pack(events), media_type=media_type)
    assert (answer["status"], answer["queued"], answer["refused"]) == ("partly", 2, 1)
    assert [result["status"] for result in answer["results"]] == ["queued", "invalid", "queued"]
    assert [result["event_id"] for result in answer["results"]] == [one["event_id"] for one in events]
    assert "user_id" in {error["path"] for error in answer["results"][1]["errors"]}


def test_an_event_that_is_not_valid_is_told_field_by_field_and_kept_for_repair(stream, web):
    broken = event(region="nowhere", ip_address="1.2.3")
    answer = web.call("POST", "/events", name=None, body=broken)
    assert answer.status == 400
    assert {error["path"] for error in answer.body["errors"]} == {"region", "ip_address"}
    kept = [json.loads(record.value) for record in stream.read(stream.topic("failed-events"))]
    (found,) = [one for one in kept if broken["event_id"] in one["payload"]]
    assert json.loads(found["payload"]) == broken
    assert found["source"]["topic"] is None


@pytest.mark.parametrize("body", [b"", b"[]", b"[1", b"null", b"\xff"])
def test_what_is_no_event_is_a_bad_request(web, body):
    assert web.call("POST", "/events", name=None, body=body).status == 400


# -- control


def test_while_paused_nothing_is_judged_but_one_record_at_a_time(web):
    assert web.post("/process/pause")["paused"]
    before = web.get("/stats/summary")["events"]
    for number in range(4):
        web.post("/events", 202, name=None, body=event(f"paused-{number}"))
    time.sleep(1.0)
    summary = web.get("/stats/summary", worker=1)
    assert summary["paused"]
    assert summary["events"] == before
    places = set()
    for number in range(1, 5):
        one = web.post("/process/one", worker=number % 2)
        assert one["judged"] == 1
        places.add((one["topic"], one["partition"], one["offset"]))
        web.wait_for("/stats/summary", lambda found, number=number: found["events"] == before + number)
    assert len(places) == 4
    assert web.post("/process/one") == {"judged": 0, "topic": None, "partition": None, "offset": None}
    assert not web.post("/process/resume", worker=1)["paused"]


def test_paused_events_wait_and_are_judged_after_resume(web):
    web.post("/process/pause", worker=1)
    before = web.get("/stats/summary")["events"]
    web.post("/events", 202, name=None, body=[event(f"waits-{number}") for number in range(20)])
    web.post("/process/resume")
    drained = web.post("/process/drain")
    assert drained["drained"]
    assert drained["remaining"] == 0
    assert web.get("/stats/summary")["events"] == before + 20


def test_draining_waits_for_what_was_there_and_counts_it(stream, web):
    web.post("/process/pause")
    stream.write(
        "raw-events", [(None, b"drained", json.dumps(event("drained")).encode()) for _ in range(500)]
    )
    web.post("/process/resume")
    drained = web.post("/process/drain?timeout=60", worker=1)
    assert drained["drained"]
    assert drained["coverage"]["missing"] == []
    assert drained["count"] <= 500
    window = web.get("/users/drained")["window"]
    assert window["events"] == 500


def test_one_step_and_drain_need_the_other_state(web):
    assert web.call("POST", "/process/one").status == 409
    web.post("/process/pause")
    assert web.call("POST", "/process/drain").status == 409


# -- privacy requests


def test_a_privacy_request_is_published_applied_and_shown_with_its_deadline(web):
    user_id = f"private-{uuid.uuid4().hex}"
    request = {
        "schema": "privacy-request/1",
        "request_id": "r-1",
        "user_id": user_id,
        "type": "delete",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": "us-ca",
    }
    queued = web.post("/privacy/requests", 202, body=request)
    assert queued["request_id"] == "r-1"
    web.post("/process/drain")
    first, second = (web.get(f"/privacy/requests/{user_id}", worker=number) for number in (0, 1))
    assert first == second
    (shown,) = first["requests"]
    assert (shown["type"], shown["region"], shown["holds"]) == ("delete", "US-CA", True)
    assert [(deadline["law"], deadline["days"]) for deadline in shown["deadlines"]] == [("CCPA", 45)]
    assert first["privacy"]["deletion"]["in_force"]
    assert web.get(f"/users/{user_id}/segment")["segment"] == "unknown"


def test_a_request_from_the_future_is_refused_as_the_worker_would_refuse_it(web):
    request = {
        "schema": "privacy-request/1",
        "request_id": "r-2",
        "user_id": "u",
        "type": "opt_out",
        "timestamp": "2999-01-01T00:00:00Z",
    }
    answer = web.call("POST", "/privacy/requests", body=request)
    assert answer.status == 400
    assert [error["path"] for error in answer.body["errors"]] == ["timestamp"]


# -- the audit trail


def audited(web, subject):
    """The entries about a subject, oldest first, once they are there."""
    deadline = time.monotonic() + 10
    while True:
        entries = [entry for entry in web.get("/audit?limit=500")["entries"] if entry["subject"] == subject]
        if entries or time.monotonic() > deadline:
            return entries[::-1]
        time.sleep(0.1)


def test_every_protected_read_is_in_the_trail_of_each_worker_that_it_passes(web):
    for number in range(6):
        user_id = f"read-{uuid.uuid4().hex}"
        web.call("GET", f"/users/{user_id}", worker=number % 2, name="analyst")
        entries = audited(web, user_id)
        # The worker that is asked, and the owner of the key if that is another one.
        assert 1 <= len(entries) <= 2
        for entry in entries:
            assert (entry["who"], entry["role"], entry["action"], entry["allowed"]) == (
                "analyst",
                "analyst",
                "GET /users/{user_id}",
                True,
            )
            assert entry["address"] == "127.0.0.0/24"


def test_an_action_names_whom_it_is_about(web):
    user_id = f"asked-{uuid.uuid4().hex}"
    request = {
        "schema": "privacy-request/1",
        "request_id": "r-3",
        "user_id": user_id,
        "type": "opt_out",
        "timestamp": "2026-01-01T00:00:00Z",
    }
    web.post("/privacy/requests", 202, body=request)
    (entry,) = audited(web, user_id)
    assert (entry["who"], entry["action"]) == ("admin", "POST /privacy/requests")


def test_who_was_not_let_in_is_in_the_trail_too(web):
    assert web.call("POST", "/process/pause", name="analyst").status == 403
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        entries = web.get("/audit?limit=100")["entries"]
        if any(entry["who"] == "analyst" and not entry["allowed"] for entry in entries):
            return
        time.sleep(0.1)
    raise AssertionError(entries)


# -- figures


def test_the_metrics_are_for_prometheus_and_name_nobody(web):
    answer = web.call("GET", "/metrics", name=None)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.splitlines()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}
    other = web.call("GET", "/metrics", name=None, worker=1).body.splitlines()
    judged = values['ott_partition_records{ending="judged"}']
    judged += next(
        float(line.rpartition(" ")[2])
        for line in other
        if line.startswith('ott_partition_records{ending="judged"}')
    )
    assert judged == web.get("/stats/summary")["judged"]
    assert values["ott_delivery_commits_total"] > 0
    assert 'ott_http_request_seconds_bucket{le="0.05",route="summary",status="200"}' in values
    assert "user-" not in answer.body


# -- the document


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_no_request_finds_a_server_error_or_an_answer_that_is_not_documented(web, mode):
    # Schemathesis takes a second to import, so only the process that runs this test does it.
    from tests.stream.documented import failures  # noqa: PLC0415

    found = failures(web.workers[0].address, web.token("admin"), mode)
    web.sign_out()
    assert not found, "\n".join(f"{label}: {' '.join(errors)}" for label, errors in found)


def test_one_number_has_one_source(web):
    """Counts of findings are those of the verdict index, wherever they are shown."""
    web.post("/process/drain")
    compliance = web.wait_for("/compliance/summary", lambda answer: not answer["index"]["behind"])
    assert web.get("/rules")["findings"] == compliance["by_rule"]
    for risk in web.get("/compliance/regions")["regions"][:5]:
        region = web.get(f"/stats/region/{risk['region']}")
        assert {one["name"]: one["count"] for one in region["flagged_by_rule"]} == risk["by_rule"]
