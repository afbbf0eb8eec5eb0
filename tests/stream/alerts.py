"""What alerts should be: the verdicts on the broker, folded without one."""

import json
from types import SimpleNamespace

from agents.alerts import AlertAgent
from pipeline.delivery.state.unit import State
from tests.stream.harness import Stream


class _InMemory(State):
    """A partition's state that is never written."""

    def __init__(self) -> None:
        super().__init__(0, lambda _: 0)

    def load(self, _key: bytes) -> None:
        return None


def last_alerts(outputs: list[tuple[bytes, bytes | None]]) -> dict[bytes, dict]:
    last = dict(outputs)
    return {key: json.loads(value) for key, value in last.items() if value is not None}


def expected_alerts(stream: Stream) -> dict[bytes, dict]:
    """Fold what is on `flagged-events`, partition by partition."""
    agent, outputs = AlertAgent("risk-alerts"), []
    verdicts = stream.read(stream.topic("flagged-events"))
    for partition in range(stream.partitions):
        records = [
            SimpleNamespace(value=record.value) for record in verdicts if record.partition == partition
        ]
        outputs += [(output.key, output.value) for output in agent.handle(_InMemory(), records)]
    return last_alerts(outputs)
