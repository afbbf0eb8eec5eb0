"""The subject rules over a file, read slowly: every minute is summed anew."""

from collections import Counter
from math import sqrt

from tests.oracle.judge import dimensions, level
from tests.oracle.users import HOUR, MINUTE, POINTS, finding, shown


class Subjects:
    """Told each record of events with what came of it; gives the verdicts that it brings.

    Args:
        version: of the rule set.
        records: (topic, partition) of every record of events, in order.
    """

    def __init__(self, version, records):
        self.version = version
        self.coming = list(records)
        self.times = {}
        self.counted = []
        """(minute, subject, event)."""
        self.levels = {}
        self.judged_to = None

    def after(self, partition, timestamp, judged):
        event = judged.event if judged.ending == "judged" else None
        if event is not None:
            if not judged.late and event.is_playback:
                self._count(event, self.times.get(partition))
            time = event.time if timestamp < 0 else min(event.time, timestamp)
            self.times[partition] = max(time, self.times.get(partition, time))
        assert self.coming.pop(0) == partition
        watermark = self._watermark()
        return [] if watermark is None else list(self._advance(watermark))

    def _count(self, event, partition_time):
        minute = event.time // MINUTE
        if partition_time is not None:
            if partition_time - event.time > 60 * MINUTE:
                return
            minute = max(minute, (partition_time - 60_000) // MINUTE)
        assert self.judged_to is None or minute > self.judged_to
        for subject in (("content", event.content_id), ("device", event.device_id)):
            self.counted.append((minute, subject, event))

    def _watermark(self):
        waiting = set(self.coming)
        if waiting:
            if any(partition not in self.times for partition in waiting):
                return None
            return min(self.times[partition] for partition in waiting)
        return max(self.times.values(), default=None)

    def _advance(self, watermark):
        if not self.counted:
            return
        first = min(minute for minute, _, _ in self.counted)
        start = first if self.judged_to is None else max(first, self.judged_to + 1)
        minute = start
        while (minute + 1) * MINUTE + 60_000 <= watermark:
            for subject in sorted({subject for _, subject, _ in self.counted}):
                verdict = self._judge(minute, subject)
                if verdict is not None:
                    yield verdict
            self.judged_to = minute
            minute += 1

    def _judge(self, minute, subject):
        events = [event for at, who, event in self.counted if who == subject and minute - 60 < at <= minute]
        failed = [event for event in events if event.error_code or event.type == "ERROR"]
        rate = len(failed) / len(events) if events else 0
        now = None
        if rate > 0.20 and len(events) >= 20:
            now = "HIGH"
        elif rate > 0.10 and len(events) >= 50:
            now = "MEDIUM"
        before = self.levels.get(subject)
        if now == before:
            return None
        self.levels[subject] = now
        change = "escalated" if now == "HIGH" else "eased"
        if before is None:
            change = "opened"
        if now is None:
            change = "closed"
        end = (minute + 1) * MINUTE
        kind, identity = subject
        found = [] if now is None else [self._finding(kind, now, failed, events, end)]
        score = sum(POINTS[each["severity"]] for each in found)
        return {
            "schema": "risk-verdict/1",
            "verdict_id": None,
            "subject": {"type": kind, "id": identity},
            "event_id": None,
            "user_id": None,
            "device_id": identity if kind == "device" else None,
            "content_id": identity if kind == "content" else None,
            "region": None,
            "event_type": None,
            "event_time": shown(end),
            "change": change,
            "minute_end": shown(end),
            "risk_level": level(score),
            "score": score,
            "dimensions": dimensions(found),
            "findings": found,
            "regulations": [],
            "subscription_plan": None,
            "plan_adjustment": 0,
            "late": False,
            "source": None,
            "ruleset_version": self.version,
            "model_version": None,
        }

    def _finding(self, kind, severity, failed, events, end):
        low, high = wilson(len(failed), len(events))
        evidence = {
            "failed": len(failed),
            "total": len(events),
            "rate": round(len(failed) / len(events), 4),
            "wilson_low": low,
            "wilson_high": high,
            "top_error_codes": top(event.error_code or "ERROR" for event in failed),
            "top_regions": top(event.region for event in failed),
            "high_over": 0.2,
            "high_min_events": 20,
            "medium_over": 0.1,
            "medium_min_events": 50,
            "window_start": shown(end - HOUR),
            "window_end": shown(end),
        }
        return finding(f"{kind}.error_rate", "content", severity, [], evidence)


def top(names):
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0]))[:5])


def wilson(failed, total, z=1.96):
    share = failed / total
    middle = share + z * z / (2 * total)
    spread = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return tuple(round((middle + way * spread) / (1 + z * z / total), 4) for way in (-1, 1))
