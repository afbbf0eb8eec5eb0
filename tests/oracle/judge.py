"""Records in order of arrival, judged slowly: endings, verdicts as dictionaries, failed events as facts."""

import json
from dataclasses import dataclass

from pipeline.events.decode import EventDecoder
from pipeline.events.invalid import InvalidMessageError
from tests.oracle import users
from tests.oracle.users import DAY, HOUR, MINUTE, POINTS, User, shown


@dataclass
class Judged:
    """What is to come of a record: `verdict` is to have the summaries and the id of what is compared."""

    ending: str
    late: bool = False
    verdict: dict | None = None
    reason: str | None = None
    lost: bool = False
    event: object = None


class Oracle:
    """Judges records one by one.

    Args:
        version: of the rule set.
        limits: per rule, MEDIUM and HIGH over.
        most: so many events of a user are kept.
        silent: rules that are shadow or off.
    """

    def __init__(self, version, limits=None, most=4096, silent=()):
        self.version = version
        self.limits = {**users.LIMITS, **(limits or {})}
        self.most = most
        self.silent = set(silent)
        self.users = {}
        self._decoder = EventDecoder()

    def judge(self, record):
        try:
            event = self._decoder.event(record.value)
        except InvalidMessageError as error:
            return Judged("failed", reason=error.reason, lost=_says_lost(error))
        lost = bool(users.signals(event))
        timestamp = record.timestamp if record.timestamp >= 0 else None
        if timestamp is not None and event.time > timestamp + 5 * MINUTE:
            return Judged("failed", reason="future_timestamp", lost=lost)
        user = self.users.setdefault(event.user_id, User())
        away = None not in (timestamp, user.last_record_time) and timestamp > user.last_record_time + 30 * DAY
        accepted = [] if away else user.accepted
        stood = max((known.time for known in accepted), default=None)
        if stood is not None and event.time <= stood - HOUR:
            return self._late(record, event, user, timestamp)
        leaves = event.time if stood is None else max(stood, event.time)
        for known in [] if away else user.window(leaves):
            if known.event_id == event.event_id:
                if known == event:
                    return Judged("duplicate")
                return Judged("failed", reason="duplicate_id_conflict", lost=lost)
        if away:
            user.accepted, user.early = [], []
        before = (stood, user.last_place())
        user.accept(event, self.most)
        self._note(event, user, timestamp)
        found = users.legal_findings(event, user)
        found += users.behavioural_findings(event, user, before, self.limits)
        return Judged("judged", False, self._verdict(record, event, found, late=False), event=event)

    def _late(self, record, event, user, timestamp):
        self._note(event, user, timestamp)
        found = users.legal_findings(event, user)
        return Judged("judged", True, self._verdict(record, event, found, late=True), event=event)

    def _note(self, event, user, timestamp):
        user.last_record_time = timestamp
        if event.do_not_track or event.gpc:
            user.wishes.append(("opt_out", "signal", event.time))
        if event.deletion_requested:
            user.wishes.append(("deletion", "signal", event.time))

    def apply(self, record):
        try:
            request = self._decoder.request(record.value)
        except InvalidMessageError as error:
            return Judged("failed", reason=error.reason, lost=_says_lost(error))
        if record.timestamp >= 0 and request.time > record.timestamp + 5 * MINUTE:
            signs = json.loads(record.value)
            lost = request.type in ("opt_out", "delete") or any(
                signs.get(name) not in (None, False) for name in ("do_not_track", "gpc", "deletion_requested")
            )
            return Judged("failed", reason="future_timestamp", lost=lost)
        user = self.users.setdefault(request.user_id, User())
        wish = {
            "opt_out": ("opt_out", "signal"),
            "opt_in": ("opt_out", "withdrawal"),
            "delete": ("deletion", "signal"),
            "reinstate": ("deletion", "withdrawal"),
        }.get(request.type)
        if wish is None:
            known = user.consents.get(request.type)
            user.consents[request.type] = request.time if known is None else max(known, request.time)
        else:
            user.wishes.append((*wish, request.time))
        return Judged("request")

    def _verdict(self, record, event, found, *, late):
        found = sorted(
            (each for each in found if each["rule_id"] not in self.silent),
            key=lambda each: each["rule_id"],
        )
        if not found:
            return None
        legal = sum(POINTS[each["severity"]] for each in found if each["dimension"] in LEGAL)
        behavioural = sum(POINTS[each["severity"]] for each in found if each["dimension"] not in LEGAL)
        adjusted = behavioural
        if behavioural > 0:
            by_plan = {"premium": -1, "family": -1, "vip": -1, "basic": 1, "free": 1, "trial": 1}
            adjusted = max(0, behavioural + by_plan.get(event.plan, 0))
        score = legal + adjusted
        return {
            "schema": "risk-verdict/1",
            "verdict_id": None,
            "subject": {"type": "user", "id": event.user_id},
            "event_id": event.event_id,
            "user_id": event.user_id,
            "device_id": event.device_id,
            "content_id": event.content_id,
            "region": event.region,
            "event_type": event.type,
            "event_time": shown(event.time),
            "risk_level": level(score),
            "score": score,
            "dimensions": dimensions(found),
            "findings": found,
            "regulations": sorted({name for each in found for name in each["regulations"]}),
            "subscription_plan": event.plan,
            "plan_adjustment": adjusted - behavioural,
            "late": late,
            "source": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
            "ruleset_version": self.version,
            "model_version": None,
        }


LEGAL = ("privacy", "retention")


def level(score):
    return "HIGH" if score >= 5 else "MEDIUM" if score >= 3 else "LOW" if score > 0 else "NONE"


def dimensions(found):
    names = sorted({each["dimension"] for each in found})
    return {
        name: max((each["severity"] for each in found if each["dimension"] == name), key=POINTS.get)
        for name in names
    }


def _says_lost(error):
    return any(each.type == "opt_out_not_recorded" for each in error.errors)
