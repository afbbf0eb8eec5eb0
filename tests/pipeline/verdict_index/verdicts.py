"""Verdicts for the index: short ones, and those that `ott judge` gives."""

import json
import random

from pipeline.verdict_index.pages import PagePosition
from pipeline.verdict_index.writer import Published

LEVELS = ("LOW", "MEDIUM", "HIGH")
RULES = {
    "privacy.minor": "privacy",
    "account.multi_ip": "account",
    "account.multi_region": "account",
    "retention.opt_out_ignored": "retention",
}
REGIONS = ("US", "US-CA", "US-NY", "DE", "DE-BE", "FR", "EU", "BR", "USX"[:2], "PR")


def verdict(number, user="u1", **values):
    return {
        "schema": "risk-verdict/1",
        "verdict_id": f"{number:032x}",
        "subject": {"type": "user", "id": user},
        "event_id": f"e{number}",
        "user_id": user,
        "device_id": "d1",
        "content_id": None,
        "region": "DE",
        "event_type": "PLAY",
        "event_time": "2026-01-01T00:00:00.000Z",
        "risk_level": "HIGH",
        "score": 5,
        "dimensions": {"account": "MEDIUM"},
        "findings": [finding("account.multi_ip")],
        "regulations": [],
        "late": False,
        "source": {"topic": "raw-events", "partition": 0, "offset": number},
        **values,
    }


def finding(rule_id, severity="MEDIUM"):
    return {
        "rule_id": rule_id,
        "dimension": rule_id.partition(".")[0],
        "severity": severity,
        "regulations": [],
        "summary": rule_id,
        "evidence": {},
    }


def alert(**values):
    return {
        "schema": "risk-alert/1",
        "alert_id": "a1",
        "subject": {"type": "user", "id": "u1"},
        "rule_id": "account.multi_ip",
        "dimension": "account",
        "status": "open",
        "change": "opened",
        "severity": "HIGH",
        "highest_severity": "HIGH",
        "count": 1,
        "opened_at": "2026-01-01T00:00:00.000Z",
        "last_at": "2026-01-01T00:00:00.000Z",
        "closed_at": None,
        "regulations": [],
        "summary": "Four addresses within an hour.",
        "verdict_id": f"{1:032x}",
        **values,
    }


def published(content, at, partition=0, offset=0):
    return Published(PagePosition(at, partition, offset), json.dumps(content).encode())


def random_verdicts(count, seed=1):
    """Of several partitions, published out of order, and many within the same millisecond."""
    chance = random.Random(seed)
    records = []
    for number in range(count):
        rules = sorted(chance.sample(sorted(RULES), chance.randint(1, 3)))
        user = f"u{chance.randint(1, 20)}"
        content = verdict(
            number,
            user,
            region=chance.choice(REGIONS),
            event_time=f"2026-01-01T{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:00.000Z",
            risk_level=chance.choice(LEVELS),
            dimensions={RULES[rule]: chance.choice(LEVELS) for rule in rules},
            findings=[finding(rule) for rule in rules],
            regulations=sorted(chance.sample(["GDPR", "CCPA", "COPPA"], chance.randint(0, 2))),
        )
        records.append(published(content, 1_000 + chance.randint(0, count // 3), number % 4, number // 4))
    return records
