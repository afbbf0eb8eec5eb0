"""Whatever happens to workers and brokers, readers of committed records see what `ott judge` says, each once."""

from pathlib import Path

import pytest

from pipeline.local.apache import KafkaCluster
from tests.stream.chaos.scenario import Scenario, plan


@pytest.mark.slow
def test_a_disturbed_stream_gives_what_an_undisturbed_one_gives(
    chaos_kafka: KafkaCluster, topic_prefix: str, tmp_path: Path, chaos_seed: int
) -> None:
    faults = plan(chaos_seed)
    with Scenario(chaos_kafka.bootstrap_servers, topic_prefix, tmp_path, chaos_seed, chaos_kafka) as scenario:
        try:
            scenario.run(faults)
            scenario.check()
        except BaseException:
            print(f"seed {chaos_seed}; faults: {'; '.join(scenario.story)}; logs: {tmp_path}")
            raise
