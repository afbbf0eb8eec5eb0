"""A worker with a pseudonym key: what is asked by the id that the clients send, and by its pseudonym."""

import asyncio
import json
import secrets
from urllib.parse import quote

import pytest

from pipeline.evaluation.pseudonyms import pseudonymiser
from pipeline.kafka.topics import ensure_topics
from pipeline.web.install import ROUTES
from tests.stream.harness import Stream
from tests.stream.web import SECRET, Web, event

KEY = secrets.token_hex(16)
SENT = {"user_id": "someone who watches", "device_id": "tv-of-someone"}
SHOWN = {name: pseudonymiser(KEY.encode())(identifier) for name, identifier in SENT.items()}
ABOUT_ONE = [route for route in ROUTES if route.method == "GET" and set(route.parameters) & set(SENT)]
TABLES = {"users-v1": ("u", "user_id"), "titles-v1": ("sdevice:", "device_id")}


@pytest.fixture(scope="module")
def web(embedded_broker, tmp_path_factory):
    """A client of a worker that has judged, rolled up and indexed somebody's events."""
    directory = tmp_path_factory.mktemp("pseudonyms")
    prefix = f"pseudonyms-{secrets.token_hex(4)}."
    variables = {"OTT_JWT_SECRET": SECRET, "OTT_PSEUDONYM_KEY": KEY}
    stream = Stream(embedded_broker, prefix, directory, variables=variables)
    asyncio.run(ensure_topics(stream.settings))
    with stream.worker() as worker:
        worker.wait_ready()
        web = Web([worker])
        events = [event(**SENT, has_consent=False, region="DE", is_eu=True) for _ in range(3)]
        web.post("/events", 202, name=None, body=events)
        web.wait_for(f"/stats/device/{SENT['device_id']}")
        web.wait_for(f"/compliance/events?user_id={SHOWN['user_id']}", lambda page: page["verdicts"])
        yield web


def path(route, ids):
    return route.path.format(**{name: quote(ids[name], safe="") for name in route.parameters})


def test_every_route_about_a_user_or_a_device_is_known():
    names = {route.name for route in ABOUT_ONE}
    assert {"user", "segment", "requests", "device"} <= names


@pytest.mark.parametrize("route", ABOUT_ONE, ids=lambda route: route.name)
def test_somebody_is_found_by_the_id_that_the_clients_send(web, route):
    found = web.get(path(route, SENT), name="analyst")
    for name in route.parameters:
        assert found[name] == SHOWN[name]
        assert SENT[name] not in json.dumps(found)


@pytest.mark.parametrize("route", ABOUT_ONE, ids=lambda route: route.name)
def test_who_asks_by_a_pseudonym_is_told_what_to_ask_by(web, route):
    answer = web.call("GET", path(route, SHOWN), name="analyst")
    assert answer.status == 404
    assert "pseudonyms: ask by the id that the clients send" in answer.body["detail"]
    assert SENT["user_id"] not in json.dumps(answer.body)


@pytest.mark.parametrize("table", TABLES)
def test_a_tables_keys_have_the_ids_that_the_clients_send(web, table):
    prefix, name = TABLES[table]
    assert web.call("GET", f"/tables/{table}/{quote(prefix + SENT[name], safe='')}").status == 200
    answer = web.call("GET", f"/tables/{table}/{quote(prefix + SHOWN[name], safe='')}")
    assert answer.status == 404
    assert "pseudonyms: ask by the id that the clients send" in answer.body["detail"]


def test_the_summary_says_that_ids_are_pseudonyms(web):
    assert web.get("/stats/summary", name="analyst")["pseudonymised"] is True
    (verdict, *_) = web.get(f"/compliance/events?user_id={quote(SENT['user_id'])}")["verdicts"]
    assert (verdict["user_id"], verdict["device_id"]) == (SHOWN["user_id"], SHOWN["device_id"])
    assert "pseudonymised" not in web.get("/api", name=None)
