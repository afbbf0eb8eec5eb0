"""Brokers for tests, and which tests run where.

A test with one of the fixtures of brokers gets the marker `broker` or `kafka` by itself. The tests that run in several
processes at once are put into groups: all tests of a group run in one process, so they share its brokers.
"""

import contextlib
import os
import uuid
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import settings

from pipeline.errors import MissingError
from pipeline.lab.local.apache import KafkaCluster, java_available
from pipeline.lab.local.kafka_jars import kafka_class_path
from pipeline.lab.local.ports import kafka_answers
from pipeline.lab.local.tansu import EmbeddedBroker

# A slow machine is no failure. `--hypothesis-profile=long` looks for what a hundred examples do not meet, and
# `--hypothesis-profile=quick` is for the runs that somebody waits for.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("usual", deadline=None)
settings.register_profile("long", deadline=None, max_examples=3000)
settings.load_profile("usual")

_MARKERS = {
    "embedded_broker": "broker",
    "apache_kafka": "kafka",
    "local_kafka": "kafka",
    "chaos_kafka": "kafka",
}

_BEGIN_WITH = {"chaos": 0, "kafka": 1}
"""Chaos waits most of its time, so it runs beside everything else."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos", "scenarios of tests/stream/chaos")
    group.addoption("--chaos", type=int, metavar="N", help="run N seeded scenarios instead of CI's")
    group.addoption("--chaos-first", type=int, default=0, metavar="SEED", help="the first of their seeds")
    group = parser.getgroup("share", "a part of the tests")
    group.addoption(
        "--share", type=int, metavar="SEED", help="run a third of the test files, chosen by the seed"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--share")
    if seed is not None:
        parts: tuple[list[pytest.Item], list[pytest.Item]] = ([], [])
        for item in items:
            parts[zlib.crc32(f"{seed} {item.path.name}".encode()) % 3 == 0].append(item)
        left_out, items[:] = parts
        config.hook.pytest_deselected(items=left_out)
    # The groups that take longest begin first, so that no process works alone at the end.
    items.sort(key=lambda item: _BEGIN_WITH.get(_group(item), len(_BEGIN_WITH)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """In a process of pytest-xdist: a version that does not know our groups would repeat what each file sets up."""
    if hasattr(session.config, "workerinput") and session.config.getoption("loadgroup", default=False):
        alone = [item.nodeid for item in session.items if not item.nodeid.endswith(f"@{_group(item)}")]
        if alone:
            raise pytest.UsageError(f"pytest-xdist puts {len(alone)} tests into no group, as {alone[0]}")


def pytest_itemcollected(item: pytest.Item) -> None:
    names = set(getattr(item, "fixturenames", ()))
    chosen = getattr(getattr(item, "callspec", None), "params", {}).get("any_broker")
    for fixture, marker in _MARKERS.items():
        if fixture in names or fixture == chosen:
            item.add_marker(marker)
    item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    """The tests that run in one process: those of a file, all on Apache Kafka, and the scenarios of chaos."""
    if "chaos_kafka" in getattr(item, "fixturenames", ()):
        return "chaos"
    return "kafka" if item.get_closest_marker("kafka") else str(item.path)


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[str]:
    """Bootstrap servers of an embedded broker that lives as long as the test run."""
    with EmbeddedBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def local_kafka() -> None:
    """Nothing but a skip with the reason where a local Apache Kafka cannot be started."""
    reason = java_available()
    if reason is not None:
        pytest.skip(f"needs a real Apache Kafka: {reason}")
    with _failing_in_ci():
        kafka_class_path()


@pytest.fixture(scope="session")
def apache_kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """Bootstrap servers of KAFKA_BOOTSTRAP_SERVERS, else of an Apache Kafka node for the whole test run."""
    elsewhere = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if elsewhere:
        addresses = [address.rpartition(":") for address in elsewhere.split(",")]
        if not any(kafka_answers(int(port), host) for host, _, port in addresses):
            pytest.fail(f"KAFKA_BOOTSTRAP_SERVERS={elsewhere} does not answer")
        yield elsewhere
        return
    request.getfixturevalue("local_kafka")
    with contextlib.ExitStack() as stack:
        with _failing_in_ci():
            cluster = stack.enter_context(KafkaCluster())
        yield cluster.bootstrap_servers


@contextlib.contextmanager
def _failing_in_ci() -> Iterator[None]:
    """A Kafka that cannot be had skips a test; in CI, where Java and Maven are there for it, it fails."""
    try:
        yield
    except MissingError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"Java and Maven are here, and no Apache Kafka comes up: {error}")
        pytest.skip(f"needs a real Apache Kafka: {error}")


@pytest.fixture(params=["embedded_broker", "apache_kafka"])
def any_broker(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers, once of each broker."""
    servers: str = request.getfixturevalue(request.param)
    return servers


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """Prefix for topics, groups and application ids that no other test has, and that names its test."""
    name = "".join(char if char.isalnum() else "-" for char in request.node.name)[:60].strip("-")
    return f"{name}-{uuid.uuid4().hex[:8]}."
