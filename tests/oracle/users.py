"""The contract for one user, read slowly: everything is computed from scratch from a list of what happened."""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.oracle import laws

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
POINTS = {"LOW": 1, "MEDIUM": 3, "HIGH": 5}

LIMITS = {
    "account.multi_region": (2, 4),
    "account.multi_ip": (5, 10),
    "account.high_frequency": (300, 1000),
    "account.login_failures": (5, 20),
}
"""More than the first is MEDIUM, more than the second HIGH."""


def shown(milliseconds):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


@dataclass
class User:
    """What happened, in order of arrival."""

    accepted: list = field(default_factory=list)
    """Events in order of arrival since the user was last new, without those that came too late."""
    early: list = field(default_factory=list)
    """Those of them that left because the window was full."""
    wishes: list = field(default_factory=list)
    """(mark, "signal" or "withdrawal", time)."""
    consents: dict = field(default_factory=dict)
    last_record_time: int | None = None

    @property
    def stream_time(self):
        return max((event.time for event in self.accepted), default=None)

    def window(self, at):
        """The events within the hour that ends at `at`, by event time, then arrival."""
        inside = [event for event in self.accepted if at - HOUR < event.time <= at]
        return sorted(
            (event for event in inside if not any(event is gone for gone in self.early)),
            key=lambda event: event.time,
        )

    def accept(self, event, most):
        self.accepted.append(event)
        inside = self.window(self.stream_time)
        if len(inside) > most:
            self.early.append(inside[0])

    @property
    def saturated(self):
        return any(event.time > self.stream_time - HOUR for event in self.early)

    def mark(self, name):
        """(since, last, until) of a mark."""
        since = last = until = None
        for mark, kind, at in self.wishes:
            if mark != name or (until is not None and not at > until):
                continue
            if kind == "signal":
                since = at if since is None else min(since, at)
                last = at if last is None else max(last, at)
            else:
                until = at
                if last is None or last <= at:
                    since = last = None
                elif since <= at:
                    since = last
        return since, last, until

    def in_force(self, name, at):
        since, _, _ = self.mark(name)
        return since is not None and at > since

    def last_place(self):
        """(region, time) of the last in-order event with a centroid."""
        place = None
        stream_time = None
        for event in self.accepted:
            in_order = stream_time is None or event.time >= stream_time
            stream_time = event.time if in_order else stream_time
            if not in_order or not laws.has_centroid(event.region):
                continue
            if place is not None and laws.own_subdivision(event.region, place[0]):
                continue
            place = (event.region, event.time)
        return place


def signals(event):
    return [name for name in ("do_not_track", "gpc", "deletion_requested") if getattr(event, name)]


def finding(rule_id, dimension, severity, regulations, evidence):
    return {
        "rule_id": rule_id,
        "dimension": dimension,
        "severity": severity,
        "regulations": list(regulations),
        "summary": None,
        "evidence": evidence,
    }


def legal_findings(event, user):
    its_laws = laws.laws_of(event.region, event.is_eu)
    asking = [name for name, (asks, *_) in its_laws.items() if asks]
    granting = [name for name, values in its_laws.items() if values[3]]
    found = []
    if not event.has_consent and asking:
        worst = max((its_laws[name][1] for name in asking), key=POINTS.get)
        evidence = {"has_consent": False, "region": event.region, "is_eu": event.is_eu, "laws": asking}
        found.append(finding("privacy.consent_missing", "privacy", worst, asking, evidence))
    inside = laws.in_eea(event.region)
    evidence = {"region": event.region, "is_eu": event.is_eu, "region_in_eea": inside}
    if inside and not event.is_eu:
        found.append(finding("privacy.jurisdiction_mismatch", "privacy", "MEDIUM", ["GDPR"], evidence))
    if event.is_eu and not inside and laws.is_assigned(event.region):
        found.append(finding("privacy.jurisdiction_mismatch", "privacy", "LOW", ["GDPR"], evidence))
    found += minor(event, its_laws)
    if not event.has_consent and event.data_shared != "none":
        evidence = {
            "has_consent": False,
            "data_shared": event.data_shared,
            "region": event.region,
            "laws": list(its_laws),
        }
        severity = {"partial": "MEDIUM", "full": "HIGH"}[event.data_shared]
        found.append(
            finding("privacy.sharing_without_consent", "privacy", severity, list(its_laws), evidence)
        )
    opted_out, deleted = user.in_force("opt_out", event.time), user.in_force("deletion", event.time)
    if signals(event) or opted_out or deleted:
        evidence = {"signals": signals(event), "data_shared": event.data_shared, "region": event.region}
        if opted_out:
            evidence["opted_out_since"] = shown(user.mark("opt_out")[0])
        if deleted:
            evidence["deletion_requested_since"] = shown(user.mark("deletion")[0])
        if deleted or event.deletion_requested:
            evidence["deletion_deadline_days"] = {name: its_laws[name][4] for name in granting}
        severity = "HIGH" if granting else "MEDIUM"
        found.append(finding("retention.opt_out_ignored", "retention", severity, granting, evidence))
    return found


def minor(event, its_laws):
    age = event.user_age
    if age is None:
        return []
    missed = {
        name: values[2]
        for name, values in its_laws.items()
        if not event.has_consent and values[2] is not None and age < values[2]
    }
    if "COPPA" in its_laws and age < 13 and event.data_shared != "none":
        missed["COPPA"] = 13
    if not missed:
        return []
    evidence = {
        "user_age": age,
        "consent_ages": dict(sorted(missed.items())),
        "has_consent": event.has_consent,
        "data_shared": event.data_shared,
        "region": event.region,
    }
    return [finding("privacy.minor", "privacy", "HIGH", sorted(missed), evidence)]


def graded(count, limits):
    medium, high = limits
    return "HIGH" if count > high else "MEDIUM" if count > medium else None


def masked(network):
    """An IPv4 address by its /24, an IPv6 /64 by its /48."""
    address = ipaddress.ip_address(network.split("/")[0])
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def behavioural_findings(event, user, before, limits):
    """`before`: stream time and last place as they stood before the event."""
    now = user.stream_time
    window = user.window(now)
    bounds = {"window_start": shown(now - HOUR), "window_end": shown(now)}
    found = []

    def counted(rule_id, count, severity, evidence):
        if severity is not None:
            medium, high = limits[rule_id]
            values = {**count, **evidence, "medium_over": medium, "high_over": high, **bounds}
            found.append(finding(rule_id, "account", severity, [], values))

    regions = {each.region for each in window}
    regions = sorted(a for a in regions if not any(laws.own_subdivision(a, b) for b in regions))
    severity = graded(len(regions), limits["account.multi_region"])
    all_in_eea = all(laws.in_eea(region) for region in regions)
    if severity == "HIGH" and all_in_eea:
        severity = "MEDIUM"
    counted(
        "account.multi_region",
        {"distinct_regions": len(regions)},
        severity,
        {"regions": regions[:20], "all_in_eea": all_in_eea},
    )
    networks = {each.network for each in window}
    hidden = sorted({masked(network) for network in networks})
    counted(
        "account.multi_ip",
        {"distinct_networks": len(networks)},
        graded(len(networks), limits["account.multi_ip"]),
        {"distinct_masked_networks": len(hidden), "masked_networks": hidden[:20]},
    )
    counted(
        "account.high_frequency",
        {"events": len(window)},
        graded(len(window), limits["account.high_frequency"]),
        {},
    )
    failures = sum(each.type in ("LOGIN_FAILED", "TOKEN_REFRESH_FAILED") for each in window)
    counted(
        "account.login_failures",
        {"failures": failures},
        graded(failures, limits["account.login_failures"]),
        {},
    )
    found += travel(event, before)
    found += streams(event, window, now, bounds)
    if user.saturated:
        for each in found:
            each["saturated"] = True
    return found


def travel(event, before):
    stream_time, place = before
    if place is None or (stream_time is not None and event.time < stream_time):
        return []
    region, since = place
    same = region == event.region
    nested = laws.own_subdivision(region, event.region) or laws.own_subdivision(event.region, region)
    if same or nested or not laws.has_centroid(event.region):
        return []
    distance = laws.apart_km(region, event.region)
    hours = max(event.time - since, 60 * SECOND) / HOUR
    if not (distance > 500 and distance / hours > 1000):
        return []
    evidence = {
        "from_region": region,
        "to_region": event.region,
        "from_time": shown(since),
        "to_time": shown(event.time),
        "distance_km": round(distance, 4),
        "hours": round(hours, 4),
        "speed_kmh": round(distance / hours, 4),
        "min_distance_km": 500.0,
        "max_speed_kmh": 1000.0,
    }
    return [finding("account.impossible_travel", "account", "HIGH", [], evidence)]


def devices_playing(window, now):
    playing = []
    for device in {each.device_id for each in window}:
        signs = [
            each.time
            for each in window
            if each.device_id == device and each.type in ("PLAY", "RESUME", "HEARTBEAT", "SEEK", "BUFFERING")
        ]
        releases = [
            each.time
            for each in window
            if each.device_id == device and each.type in ("PAUSE", "STOP", "LOGOUT")
        ]
        if signs and now - max(signs) < 900 * SECOND and (not releases or max(signs) > max(releases)):
            playing.append(device)
    return sorted(playing)


def streams(event, window, now, bounds):
    playing = devices_playing(window, now)
    allowed = {"free": 1, "trial": 1, "basic": 1, "standard": 2, "premium": 4, "vip": 4, "family": 6}
    limit = allowed.get(event.plan, 4)
    severity = graded(len(playing), (limit, 2 * limit))
    if severity is None:
        return []
    evidence = {
        "devices_playing": len(playing),
        "devices": playing[:20],
        "subscription_plan": event.plan,
        "limit": limit,
        "high_over": 2 * limit,
        "silent_after_seconds": 900,
        **bounds,
    }
    return [finding("account.concurrent_streams", "account", severity, [], evidence)]
