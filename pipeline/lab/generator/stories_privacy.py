"""Stories about personal data: without consent, after an opt-out, of children; and some that only seem so."""
# ruff: noqa: PLR2004 - numbers of made-up stories

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.events.instants import format_instant
from pipeline.lab.generator.marks import Ask, Fault, Proof
from pipeline.lab.generator.seat import Seat
from pipeline.lab.generator.sessions import watch
from pipeline.lab.generator.stories_account import proving, steady
from pipeline.lab.generator.wire import encode
from pipeline.lab.generator.world import MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.lab.generator.population import User
    from pipeline.lab.generator.seat import Run
    from pipeline.lab.generator.sessions import Step
    from pipeline.lab.generator.stories_account import Timelines

OPT_OUT_IGNORED = "retention.opt_out_ignored"


def flagged_throughout(*rules: str) -> Callable[[Run, User, int], Timelines]:
    """An ordinary evening in which each event breaks these rules."""

    def story(run: Run, user: User, start_ms: int) -> Timelines:
        return [proving(watch(run, Seat(run, user, user.devices[0]), start_ms, 14), {0: rules})]

    return story


def short_evening(run: Run, user: User, start_ms: int) -> Timelines:
    """An ordinary evening that looks suspicious and breaks no rule."""
    return [watch(run, Seat(run, user, user.devices[0]), start_ms, 16)]


def opt_out_ignored(run: Run, user: User, start_ms: int) -> Timelines:
    """The client says "do not track" once; the service goes on collecting."""
    return [_objection(run, user, start_ms, ("do_not_track", "gpc")[user.index // 2 % 2])]


def deletion_ignored(run: Run, user: User, start_ms: int) -> Timelines:
    """The user asks for deletion on the device; the service goes on collecting."""
    return [_objection(run, user, start_ms, "deletion_requested")]


def _objection(run: Run, user: User, start_ms: int, flag: str) -> Iterator[Step]:
    device = user.devices[0]
    yield from steady(run, Seat(run, user, device), start_ms, 3, stop=False)
    t = start_ms + 3 * MINUTE_MS + 20_000
    objecting = Seat(run, user, device, flags={flag: True})
    title = run.catalogue.healthy(run.rng.random())
    yield t, run.pen.event(objecting.on(title), "PAUSE", t), Proof((OPT_OUT_IGNORED,))
    yield from watch(run, Seat(run, user, device), t + 30_000, 9)


# Whether the user's next event after a request breaks the rule.
ASKED = {
    "request_opt_out": True,
    "request_delete": True,
    "request_opt_in": False,
    "request_reinstate": False,
    "request_consent_withdrawn": False,
    "request_broken": False,
}
SEQUENCES = {
    "request_opt_out": ("opt_out",),
    "request_delete": ("delete",),
    "request_opt_in": ("opt_out", "opt_in"),
    "request_reinstate": ("delete", "reinstate"),
    "request_consent_withdrawn": ("consent_withdrawn",),
    "request_broken": ("delete",),
}


def ask(run: Run, user: User, start_ms: int) -> Timelines:
    """Somebody writes to the privacy office, and watches again a few minutes later."""

    def letter() -> Iterator[Step]:
        t = start_ms
        if user.kind == "request_broken":
            yield _broken_request(run, user, t)
        else:
            for request_type in SEQUENCES[user.kind]:
                yield t, encode(_request(run, user, request_type, t)), Ask(request_type)
                t += 1
        t += 2 * MINUTE_MS + int(run.rng.random() * MINUTE_MS)
        proof = Proof((OPT_OUT_IGNORED,)) if ASKED[user.kind] else None
        yield from steady(run, Seat(run, user, user.devices[0]), t, 6, proof=proof)

    return [letter()]


def _request(run: Run, user: User, request_type: str, t_ms: int) -> dict[str, object]:
    return {
        "schema": "privacy-request/1",
        "request_id": run.pen.new_id(),
        "user_id": user.user_id,
        "type": request_type,
        "timestamp": format_instant(t_ms),
        "region": user.home.code,
    }


def _broken_request(run: Run, user: User, t_ms: int) -> Step:
    """A request that cannot be read. If it may be a deletion or an opt-out, its failed event must say so."""
    breakage = int(run.rng.random() * 4)
    request = _request(run, user, ("delete", "opt_out", "forget_me", "delete")[breakage], t_ms)
    if breakage == 0:
        del request["request_id"]
        fault = Fault("failed", "request_without_id", "schema_violation", carries_opt_out=True)
    elif breakage == 1:
        request["timestamp"] = format_instant(t_ms)[:-1]
        fault = Fault("failed", "request_without_offset", "schema_violation", carries_opt_out=True)
    elif breakage == 2:
        fault = Fault("failed", "request_of_unknown_type", "schema_violation")
    else:
        # A request that is not JSON may have been a deletion.
        fault = Fault("failed", "request_cut_off", "not_json", carries_opt_out=True)
        return t_ms, encode(request)[:-20], Ask("delete", fault)
    return t_ms, encode(request), Ask(str(request["type"]), fault)
