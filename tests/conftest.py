"""Brokers for tests, and the order in which several processes take the files of tests.

A test that uses the fixture of a broker gets the marker `broker` or `kafka` from it.
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

# No profile has a deadline, because a slow machine is no failure.
settings.register_profile("quick", deadline=None, max_examples=8)
settings.register_profile("short", deadline=None, max_examples=25)
settings.register_profile("usual", deadline=None)
settings.register_profile("long", deadline=None, max_examples=3000)
settings.load_profile("usual")

_MARKERS = {"embedded_broker": "broker", "apache_kafka": "kafka", "local_kafka": "kafka"}

# Directories with the longest files. Several processes begin with these, so that none is still at work when the
# others have ended. Chaos comes first: its scenarios wait most of their time, while other files use the processors.
_FIRST = ("tests/stream/chaos/", "tests/stream/", "tests/dashboard/", "tests/pipeline/cli/")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos", "scenarios of tests/stream/chaos")
    group.addoption("--chaos", type=int, metavar="N", help="run N seeded scenarios, instead of 20")
    group.addoption("--chaos-first", type=int, default=0, metavar="SEED", help="the first of their seeds")
    group.addoption("--chaos-lanes", type=int, default=2, metavar="N", help="run N of them at a time")
    group = parser.getgroup("processes", "tests in several processes")
    group.addoption("--one-kafka", action="store_true", help="start one Apache Kafka for all processes")
    group.addoption("--share", type=int, metavar="SEED", help="run a third of the files, chosen by the seed")


def pytest_configure(config: pytest.Config) -> None:
    """Start the Apache Kafka that all processes use.

    The processes of xdist inherit the environment. Where Kafka cannot be started, each test that needs it is skipped or
    fails with the reason (`local_kafka`).
    """
    here = not hasattr(config, "workerinput") and "KAFKA_BOOTSTRAP_SERVERS" not in os.environ
    if here and config.getoption("--one-kafka") and java_available() is None:
        with contextlib.suppress(MissingError):
            cluster = KafkaCluster()
            cluster.__enter__()
            config.add_cleanup(lambda: cluster.__exit__(None, None, None))
            os.environ["KAFKA_BOOTSTRAP_SERVERS"] = cluster.bootstrap_servers


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: [not item.nodeid.startswith(directory) for directory in _FIRST])
    seed = config.getoption("--share")
    if seed is not None:
        parts: tuple[list[pytest.Item], list[pytest.Item]] = ([], [])
        for item in items:
            parts[zlib.crc32(f"{seed} {item.path.name}".encode()) % 3 == 0].append(item)
        left_out, items[:] = parts
        config.hook.pytest_deselected(items=left_out)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a long text by its length; its megabytes would be escaped, and sent to each process."""
    return f"{argname}-of-{len(val)}" if isinstance(val, str | bytes) and len(val) > 100 else None


def pytest_itemcollected(item: pytest.Item) -> None:
    names = set(getattr(item, "fixturenames", ()))
    chosen = getattr(getattr(item, "callspec", None), "params", {}).get("any_broker")
    for fixture, marker in _MARKERS.items():
        if fixture in names or fixture == chosen:
            item.add_marker(marker)


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
