"""A Kafka of its own, because its nodes are restarted and frozen, and with short sessions, so that nobody waits."""

from collections.abc import Iterator

import pytest

from pipeline.local.apache import KafkaCluster

SCENARIOS_IN_CI = 20


@pytest.fixture(scope="session")
def chaos_kafka(local_kafka: None) -> Iterator[KafkaCluster]:
    with KafkaCluster(settings={"group.min.session.timeout.ms": "1000"}) as cluster:
        yield cluster


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chaos_seed" in metafunc.fixturenames:
        count = metafunc.config.getoption("--chaos") or SCENARIOS_IN_CI
        first = metafunc.config.getoption("--chaos-first")
        metafunc.parametrize("chaos_seed", range(first, first + count))
