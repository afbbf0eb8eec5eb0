"""The figures of the contestants, their medians, and the tables that show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.lab.benchmark.latency import Latency
    from pipeline.lab.benchmark.recovery import Recovery
    from pipeline.lab.benchmark.stages import StageCosts
    from pipeline.lab.benchmark.state import StateSize
    from pipeline.lab.benchmark.throughput import Throughput

MEBIBYTE: Final = 1 << 20

# The figures of `Measured.as_dict` that the table shows, in this order.
_ROWS: Final = (
    ("events_per_s", "events/s"),
    ("cpu_s_per_million", "CPU s per million events"),
    ("peak_memory_mb", "peak memory, MB"),
    ("latency_load_per_s", "latency at events/s"),
    ("latency_p50_ms", "    p50, ms"),
    ("latency_p99_ms", "    p99, ms"),
    ("recovery_keys_per_s", "recovery, keys/s"),
    ("recovery_keys", "    keys"),
    ("state_bytes_per_user", "state per user, bytes"),
    ("state_events_per_user", "    events in the window"),
    ("state_bytes_at_60_events", "    with 60 events, bytes"),
)


@dataclass(slots=True)
class Measured:
    """Everything measured of one contestant."""

    throughputs: list[Throughput] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    state: StateSize | None = None

    def as_dict(self) -> dict[str, Any]:
        """The medians by name, without figures that were not measured."""
        figures: dict[str, Any] = {}
        if runs := self.throughputs:
            figures["events_per_s"] = round(median(run.events_per_s for run in runs))
            figures["cpu_s_per_million"] = round(median(run.cpu_s_per_million for run in runs), 2)
            figures["peak_memory_mb"] = round(median(run.peak_memory_bytes for run in runs) / MEBIBYTE)
        if latencies := self.latencies:
            figures["latency_p50_ms"] = round(median(run.p50_ms for run in latencies))
            figures["latency_p99_ms"] = round(median(run.p99_ms for run in latencies))
            figures["latency_load_per_s"] = round(median(run.load_per_s for run in latencies))
        if recoveries := self.recoveries:
            figures["recovery_keys_per_s"] = round(median(run.keys_per_s for run in recoveries))
            figures["recovery_keys"] = round(median(run.keys for run in recoveries))
            figures["recovery_ready_after_s"] = round(median(run.ready_after_s for run in recoveries), 1)
        if self.state is not None:
            figures["state_bytes_per_user"] = round(self.state.bytes_per_user)
            figures["state_events_per_user"] = round(self.state.events_per_user, 1)
            at_60 = self.state.bytes_at_60_events
            figures["state_bytes_at_60_events"] = None if at_60 is None else round(at_60)
        if runs:
            accounts = runs[0].accounts
            figures["accounts"] = {
                "judged": accounts.judged,
                "duplicate": accounts.duplicate,
                "failed": accounts.failed,
                "flagged": accounts.flagged,
            }
            figures["runs_events_per_s"] = [round(run.events_per_s) for run in runs]
        return figures


def table(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a table with one figure in a line and one contestant in a column."""
    names = list(results)
    yield f"{'':26}" + "".join(f"{name:>14}" for name in names)
    for key, label in _ROWS:
        if any(key in results[name] for name in names):
            yield f"{label:26}" + "".join(f"{_shown(results[name].get(key)):>14}" for name in names)
    ratio = ratio_of(results)
    if ratio is not None:
        yield f"{'worker / yardstick':26}{ratio:>14.2f}"
    scoring = ratio_of(results, "with-model", "worker")
    if scoring is not None:
        yield f"{'with-model / worker':26}{scoring:>14.2f}"


def ratio_of(
    results: Mapping[str, Mapping[str, Any]], name: str = "worker", other: str = "yardstick"
) -> float | None:
    """The events a second of one contestant as a multiple of another's; None if they were not measured."""
    one, two = (results.get(each, {}).get("events_per_s") for each in (name, other))
    return None if not one or not two else one / two


def stage_table(stages: Mapping[str, float]) -> Iterator[str]:
    """The lines of a table of stages with their shares."""
    total = sum(stages.values())
    yield f"{'stage':36}{'us/event':>10}{'share':>8}"
    for name, microseconds in stages.items():
        yield f"{name:36}{microseconds:>10.2f}{microseconds / total:>8.0%}"
    yield f"{'all':36}{total:>10.2f}"


def function_table(profile: StageCosts) -> Iterator[str]:
    """The lines of a table of functions."""
    yield f"{'own time':>8}{'calls/event':>13}  function (evaluation and state encoding, traced)"
    for function in profile.functions:
        yield f"{function.own_share:>8.1%}{function.calls:>13.2f}  {function.place}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"
