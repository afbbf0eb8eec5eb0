"""The alert agent: it folds verdicts into one alert per subject and rule, and publishes what changed."""

from collections.abc import Sequence
from typing import Final

from pipeline.alerting.alerts import (
    Alert,
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
"""The rule of each type of subject. A verdict that closes has no finding, so it does not name its rule."""


class AlertAgent:
    """Folds verdicts. The delivery calls `handle`, and `poison` for a record on which `handle` failed.

    Args:
        topic: the full name of `risk-alerts`.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._read = json_reader(SeenVerdict)

    def handle(self, unit: State[AlertValue], records: Sequence[SourceRecord]) -> list[Output]:
        """Fold the verdicts of one partition, in order."""
        alerts = UnitAlerts(unit)
        partition = alerts.partition
        outputs: list[Output] = []
        for record in records:
            try:
                verdict = self._read(record.value)
                time = parse_formatted(verdict.event_time)
            except ValueError:
                partition.refused += 1
                continue
            partition.time = max(partition.time, time)
            self._visit_due(alerts, outputs)
            self._fold(alerts, verdict, outputs)
        alerts.write_partition()
        return outputs

    def poison(self, unit: State[AlertValue], *_: object) -> list[Output]:
        """Count a record that cannot be read or that our code failed on. It changes no alert."""
        alerts = UnitAlerts(unit)
        alerts.partition.refused += 1
        alerts.write_partition()
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
                outputs.append(self._closed(alerts, key, alert, verdict.event_time))
                alerts.schedule(key, alert)
                alerts.put(key, alert)

    def _fold_finding(
        self, alerts: UnitAlerts, verdict: SeenVerdict, finding: SeenFinding, outputs: list[Output]
    ) -> None:
        now = alerts.partition.time
        key = _key(verdict, finding.rule_id)
        alert = alerts.get(key)
        change: AlertChange | None = "opened"
        if alert is None:
            alert = opened(verdict, finding, now)
        elif alert.closed_at is not None or (alert.closes_by_itself and alert.is_quiet(now)):
            if alert.closed_at is None:
                # The alert is quiet, but `_visit_due` has not reached it: many became quiet at once.
                outputs.append(self._closed(alerts, key, alert, format_instant(now)))
            scheduled = alert.scheduled
            alert = opened(verdict, finding, now)
            # The new alert has the key of the old one, which may be on a list already.
            alert.scheduled = scheduled
        else:
            change = repeat(alert, verdict, finding, now)
        if alert.closes_by_itself and not alert.scheduled:
            alerts.schedule(key, alert)
        alerts.put(key, alert)
        if change is not None:
            outputs.append(Output(self._topic, key, encode_alert(alert, change)))

    def _visit_due(self, alerts: UnitAlerts, outputs: list[Output]) -> None:
        """Close alerts that are quiet. Delete those that were closed a whole window ago, with a tombstone."""
        now = alerts.partition.time
        for key, alert in alerts.due():
            if alert.closed_at is None and not alert.closes_by_itself:
                pass  # The alert was opened again, and only its verdicts close it.
            elif not alert.is_quiet(now):
                alerts.schedule(key, alert)
            elif alert.closed_at is not None:
                alerts.delete(key)
                outputs.append(Output(self._topic, key, None))
                continue
            else:
                outputs.append(self._closed(alerts, key, alert, format_instant(now)))
                alerts.schedule(key, alert)
            alerts.put(key, alert)

    def _closed(self, alerts: UnitAlerts, key: bytes, alert: Alert, at: str) -> Output:
        close(alert, at, alerts.partition.time)
        return Output(self._topic, key, encode_alert(alert, "closed"))


def _key(verdict: SeenVerdict, rule_id: str) -> bytes:
    """The key on `risk-alerts`: subject id, slash, rule id. A rule id has no slash, so the last one divides them."""
    return f"{verdict.subject.id}/{rule_id}".encode()
