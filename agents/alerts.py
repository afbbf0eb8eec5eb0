"""The alert agent: verdicts to one living alert per subject and rule."""

from collections.abc import Sequence
from typing import Final

from pipeline.alerting.alerts import (
    AlertChange,
    SeenFinding,
    SeenVerdict,
    close,
    encode_alert,
    opened,
    repeat,
)
from pipeline.delivery.flow.rekeying import SourceRecord
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.unit import State
from pipeline.events.foreign import json_reader
from pipeline.events.instants import format_instant, parse_formatted
from pipeline.rules.content_error_rate import ContentErrorRate
from pipeline.rules.device_error_rate import DeviceErrorRate
from tables.alerts import AlertValue, UnitAlerts

_SUBJECT_RULES: Final = {"content": ContentErrorRate.rule_id, "device": DeviceErrorRate.rule_id}
"""The verdict that closes has no finding that would name it."""


class AlertAgent:
    """Folds verdicts; `handle` and `poison` are what the delivery calls.

    Args:
        topic: the full name of `risk-alerts`.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._read = json_reader(SeenVerdict)

    def handle(self, unit: State[AlertValue], records: Sequence[SourceRecord]) -> list[Output]:
        """Fold verdicts of one partition, in order."""
        alerts = UnitAlerts(unit)
        clock = alerts.clock
        outputs: list[Output] = []
        for record in records:
            try:
                verdict = self._read(record.value)
                time = parse_formatted(verdict.event_time)
            except ValueError:
                clock.refused += 1
                continue
            clock.time = max(clock.time, time)
            self._look_again(alerts, outputs)
            self._fold(alerts, verdict, outputs)
        alerts.keep_clock()
        return outputs

    def poison(
        self,
        unit: State[AlertValue],
        record: SourceRecord,  # noqa: ARG002 - the delivery's signature
        error: Exception,  # noqa: ARG002
    ) -> list[Output]:
        """What cannot be read, or what our own code failed on, changes no alert; it is counted and logged."""
        alerts = UnitAlerts(unit)
        alerts.clock.refused += 1
        alerts.keep_clock()
        return []

    def _fold(self, alerts: UnitAlerts, verdict: SeenVerdict, outputs: list[Output]) -> None:
        for finding in verdict.findings:
            self._fold_finding(alerts, verdict, finding, outputs)
        rule_id = _SUBJECT_RULES.get(verdict.subject.type)
        if verdict.change == "closed" and rule_id is not None:
            key = _key(verdict, rule_id)
            alert = alerts.get(key)
            if alert is not None and alert.closed_at is None:
                alert.verdict_id, alert.last_at = verdict.verdict_id, verdict.event_time
                close(alert, verdict.event_time, alerts.clock.time)
                alerts.schedule(key, alert)
                alerts.put(key, alert)
                outputs.append(self._output(key, encode_alert(alert, "closed")))

    def _fold_finding(
        self, alerts: UnitAlerts, verdict: SeenVerdict, finding: SeenFinding, outputs: list[Output]
    ) -> None:
        now = alerts.clock.time
        key = _key(verdict, finding.rule_id)
        alert = alerts.get(key)
        change: AlertChange | None = "opened"
        if alert is None:
            alert = opened(verdict, finding, now)
        elif alert.closed_at is not None or (alert.closes_by_itself and alert.is_quiet(now)):
            if alert.closed_at is None:
                # Many became quiet at once, and it was not its turn yet.
                close(alert, format_instant(now), now)
                outputs.append(self._output(key, encode_alert(alert, "closed")))
            scheduled = alert.scheduled
            alert = opened(verdict, finding, now)
            # The new alert has the same key, which may be scheduled already.
            alert.scheduled = scheduled
        else:
            change = repeat(alert, verdict, finding, now)
        if alert.closes_by_itself and not alert.scheduled:
            alerts.schedule(key, alert)
        alerts.put(key, alert)
        if change is not None:
            outputs.append(self._output(key, encode_alert(alert, change)))

    def _look_again(self, alerts: UnitAlerts, outputs: list[Output]) -> None:
        """Close what is quiet; delete, with a tombstone, what was closed a whole window ago."""
        now = alerts.clock.time
        for key, alert in alerts.due():
            if alert.closed_at is None and not alert.closes_by_itself:
                pass  # it was opened again, and its verdicts will tell
            elif not alert.is_quiet(now):
                alerts.schedule(key, alert)
            elif alert.closed_at is not None:
                alerts.forget(key)
                outputs.append(self._output(key, None))
                continue
            else:
                close(alert, format_instant(now), now)
                alerts.schedule(key, alert)
                outputs.append(self._output(key, encode_alert(alert, "closed")))
            alerts.put(key, alert)

    def _output(self, key: bytes, value: bytes | None) -> Output:
        return Output(self._topic, key, value)


def _key(verdict: SeenVerdict, rule_id: str) -> bytes:
    """The key on `risk-alerts`: subject and rule, apart by the last slash."""
    return f"{verdict.subject.id}/{rule_id}".encode()
