"""Apache Kafka for chaos: the scenarios restart and freeze its nodes, and short sessions keep their waits short."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import pytest

from pipeline.lab.local.apache import KafkaCluster
from tests.stream.chaos.scenario import Scenario, plan

SCENARIOS_IN_CI = 20
SETTINGS = {"group.min.session.timeout.ms": "1000"}


class Lanes:
    """A context manager that runs the scenarios of all seeds, some at a time. Who uses it calls `result` for each seed.

    Each lane has an Apache Kafka of its own. A scenario waits most of its time, for sessions to end and brokers to come
    back, so two lanes fit on one core.
    """

    def __init__(self, seeds: Sequence[int], directory: Path, lanes: int) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._free: SimpleQueue[KafkaCluster] = SimpleQueue()
        for _ in range(min(lanes, len(seeds))):
            self._free.put(self._stack.enter_context(KafkaCluster(settings=SETTINGS)))
        self._pool = ThreadPoolExecutor(lanes)
        self._futures = {seed: self._pool.submit(self._run, seed) for seed in seeds}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._stack.close()

    def result(self, seed: int) -> list[str]:
        """What happened in a scenario; raises what it raised."""
        return self._futures[seed].result()

    def _run(self, seed: int) -> list[str]:
        cluster = self._free.get()
        directory = self._directory / f"seed-{seed}"
        directory.mkdir()
        prefix = f"chaos-{seed}-{uuid.uuid4().hex[:6]}."
        try:
            with telling(Scenario(cluster.bootstrap_servers, prefix, directory, seed, cluster)) as scenario:
                scenario.run(plan(seed))
                scenario.check()
            return scenario.story
        finally:
            self._free.put(cluster)


@contextlib.contextmanager
def telling(scenario: Scenario) -> Iterator[Scenario]:
    """A context that adds the seed and the story of its scenario to an error."""
    with scenario:
        try:
            yield scenario
        except BaseException as error:
            error.add_note(
                f"seed {scenario.seed}: {'; '.join(scenario.story)}; logs: {scenario.stream.directory}; "
                f"again with: --chaos 1 --chaos-first {scenario.seed}"
            )
            raise


@pytest.fixture(scope="session")
def chaos_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    seeds = [spec.params["chaos_seed"] for spec in specs if spec is not None and "chaos_seed" in spec.params]
    directory = _only_here(tmp_path_factory.getbasetemp())
    with Lanes(seeds, directory, request.config.getoption("--chaos-lanes")) as lanes:
        yield lanes


def _only_here(directory: Path) -> Path:
    """A new directory; fails if another process of the same run already has its scenarios."""
    run = directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory
    scenarios = run / "chaos"
    try:
        scenarios.mkdir()
    except FileExistsError:
        pytest.fail(f"another process runs the same scenarios in {scenarios}; use --dist loadfile")
    return scenarios


@pytest.fixture
def three_nodes() -> Iterator[KafkaCluster]:
    with KafkaCluster(3, settings=SETTINGS) as cluster:
        yield cluster


@pytest.fixture
def told():
    return telling


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chaos_seed" in metafunc.fixturenames:
        count = metafunc.config.getoption("--chaos") or SCENARIOS_IN_CI
        first = metafunc.config.getoption("--chaos-first")
        metafunc.parametrize("chaos_seed", range(first, first + count))
