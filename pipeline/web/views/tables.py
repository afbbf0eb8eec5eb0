"""`/tables` and `/tables/{table}/{key}`: the raw state of any key, from the worker that owns it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic import Field

from pipeline.evaluation.batch import PartitionState
from pipeline.evaluation.model_book import ModelInForce
from pipeline.evaluation.recent import RecentResults
from pipeline.evaluation.rule_book import InForce
from pipeline.events.addresses import mask_network
from pipeline.titles.figures import Figures
from pipeline.titles.notes import DIMENSIONS
from pipeline.titles.rows import unpack_rows
from pipeline.titles.state import PARTITION_KEY as TITLES_KEY
from pipeline.web.http.answers import (
    Answer,
)
from pipeline.web.http.problems import FieldError, Problem
from pipeline.web.http.routes import Route
from pipeline.web.views.ids import way_out
from pipeline.windows.entry import FAILS, FAILS_LOGIN, NEUTRAL, PLAYS, RELEASES, START_FAILS, STARTS
from pipeline.windows.user import UserState
from tables.alerts import PARTITION_KEY as ALERTS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.delivery.table import WriteBehindTable
    from pipeline.titles.state import TitlesValue
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.windows.entry import Entry
    from pipeline.windows.user import LastEvent
    from tables.alerts import AlertValue
    from tables.risk import RiskValue


class TableInfo(Answer):
    """A table of the worker."""

    name: str
    partitions: int
    changelog: str
    sources: list[str]


class Tables(Answer):
    """All tables."""

    tables: list[TableInfo]


class TableRecord(Answer):
    """The raw state of a key."""

    table: str
    key: str
    partition: int
    owner: str = Field(description="the worker that owns the partition")
    changelog_offset: int | None = Field(description="the changelog offset that the local store has reached")
    uncommitted: bool = Field(description="whether the value changed since the last commit")
    value: Any


ROUTES: Final = (
    Route(
        name="tables",
        method="GET",
        path="/tables",
        role="analyst",
        summary="The tables",
        answers=(Tables,),
        tag="tables",
    ),
    Route(
        name="table_record",
        method="GET",
        path="/tables/{table}/{key}",
        role="analyst",
        summary="The raw state of a key, its owner and changelog offset",
        answers=(TableRecord,),
        problems=(404,),
        subject="key",
        tag="tables",
    ),
)


_ROLES: Final = {
    NEUTRAL: "neutral",
    PLAYS: "plays",
    STARTS: "starts",
    START_FAILS: "fails_to_start",
    FAILS: "fails",
    RELEASES: "releases",
    FAILS_LOGIN: "fails_login",
}


@dataclass(frozen=True, slots=True)
class _ShownTable:
    """A table that the view shows.

    Attributes:
        table: the table.
        locate: turns a key as text into its bytes and partition; raises ValueError if the key has no valid form.
        render: turns a value into JSON, with personal data masked as in all outputs.
        hint: is appended to the message of a key that does not exist.
    """

    table: WriteBehindTable[Any]
    locate: Callable[[str], tuple[bytes, int]]
    render: Callable[[Any], Any]
    hint: str = ""


def table_views(
    users: WriteBehindTable[RiskValue],
    titles: WriteBehindTable[TitlesValue],
    alerts: WriteBehindTable[AlertValue],
    peers: Peers,
    show: Callable[[str], str],
) -> Handlers:
    """The handlers of `/tables` and `/tables/{table}/{key}`.

    Args:
        users: the risk agent's table.
        titles: the title agent's table.
        alerts: the alert agent's table.
        peers: the other workers.
        show: the form of user and device ids in outputs.
    """
    shown = (_shown_users(users, show), _shown_titles(titles, show), _shown_alerts(alerts))
    browser = _Browser({one.table.name: one for one in shown}, peers)
    return {"tables": browser.tables, "table_record": browser.record}


class _Browser:
    def __init__(self, tables: dict[str, _ShownTable], peers: Peers) -> None:
        self._tables = tables
        self._peers = peers

    async def tables(self, call: Call) -> Tables:  # noqa: ARG002 - the same for everybody
        return Tables(
            tables=[
                TableInfo(
                    name=name,
                    partitions=shown.table.partitions or 0,
                    changelog=shown.table.changelog_name,
                    sources=list(shown.table.source_topics),
                )
                for name, shown in self._tables.items()
            ]
        )

    async def record(self, call: Call) -> TableRecord:
        """The state of a key. It includes changes that are not committed yet, which `uncommitted` says."""
        name, text = call.path["table"], call.path["key"]
        shown = self._tables.get(name)
        if shown is None:
            known = ", ".join(self._tables)
            raise Problem(HTTPStatus.NOT_FOUND, f"there is no table {name}; there is {known}")
        try:
            key, partition = shown.locate(text)
        except ValueError as error:
            wrong = FieldError(path="key", message=str(error), type="key")
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"the path is not valid: key {error}", errors=[wrong]
            ) from None
        unit = (await self._peers.owned(call, shown.table, partition)).unit
        value = unit.peek(key)
        if value is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"table {name} has no key {text}{shown.hint}")
        in_flight = unit.in_flight is not None and key in unit.in_flight.keys
        return TableRecord(
            table=name,
            key=text,
            partition=partition,
            owner=str(self._peers.own_url),
            changelog_offset=unit.store.changelog_offset(),
            uncommitted=in_flight or key in unit.dirty,
            value=shown.render(value),
        )


# -- the risk agent's table


def _shown_users(users: WriteBehindTable[RiskValue], show: Callable[[str], str]) -> _ShownTable:
    """Keys are as in the table; those of a partition carry its number: `uUSER`, `qUSER`, `p@3`, `r@3`, `s@3`, `m@3`."""

    def locate(text: str) -> tuple[bytes, int]:
        kind, rest = text[:1], text[1:]
        if kind in {"u", "q"} and rest:
            return text.encode(), users.partition_of(rest.encode())
        if kind in {"p", "r", "s", "m"} and rest[:1] == "@" and rest[1:].isascii() and rest[1:].isdigit():
            partition = int(rest[1:6])
            if partition < users.partition_of.partitions:
                return kind.encode(), partition
        raise ValueError("must be u or q and a user id, or p@, r@, s@ or m@ and the number of a partition")

    def render(value: RiskValue) -> Any:  # noqa: ANN401 - JSON
        match value:
            case UserState():
                return _user(value, show)
            case PartitionState():
                return {"counts": value.counts, "times": value.times}
            case RecentResults():
                shown = [msgspec.structs.asdict(result) for result in value.results]
                return [{**result, "user_id": show(result["user_id"])} for result in shown]
            case InForce() | ModelInForce():
                return msgspec.structs.asdict(value)
            case _:
                return [msgspec.structs.asdict(request) for request in value.requests]

    return _ShownTable(users, locate, render, way_out(show))


# -- the title agent's table


def _shown_titles(titles: WriteBehindTable[TitlesValue], show: Callable[[str], str]) -> _ShownTable:
    """Keys are as in the table: `scontent:ID`, `sdevice:ID`, ...; that of a partition carries its number: `p@3`."""

    def locate(text: str) -> tuple[bytes, int]:
        kind, rest = text[:1], text[1:]
        dimension, colon, identifier = rest.partition(":")
        if kind == "s" and dimension in DIMENSIONS and colon and identifier:
            return text.encode(), titles.partition_of(rest.encode())
        if kind == "p" and rest[:1] == "@" and rest[1:].isascii() and rest[1:].isdigit():
            partition = int(rest[1:6])
            if partition < titles.partition_of.partitions:
                return TITLES_KEY, partition
        raise ValueError(
            "must be s, content, device, region, plan or rule, a colon and an id, or p@ and the number of a partition"
        )

    def render(value: TitlesValue) -> Any:  # noqa: ANN401 - JSON
        fields: dict[str, Any] = msgspec.structs.asdict(value)
        if isinstance(value, Figures):
            fields["rows"] = list(unpack_rows(value.rows))
            users = {show(user): minute for user, minute in value.names.get("users", {}).items()}
            fields["names"] = value.names | ({"users": users} if users else {})
        return msgspec.to_builtins(fields, str_keys=True)

    return _ShownTable(titles, locate, render, way_out(show))


# -- the alert agent's table


def _shown_alerts(alerts: WriteBehindTable[AlertValue]) -> _ShownTable:
    """Keys are as in the table: `aSUBJECT/RULE`; that of a partition's clock carries its number: `c@3`."""

    def locate(text: str) -> tuple[bytes, int]:
        kind, rest = text[:1], text[1:]
        subject, slash, rule_id = rest.rpartition("/")
        if kind == "a" and subject and slash and rule_id:
            return text.encode(), alerts.partition_of(subject.encode())
        if kind == "c" and rest[:1] == "@" and rest[1:].isascii() and rest[1:].isdigit():
            partition = int(rest[1:6])
            if partition < alerts.partition_of.partitions:
                return ALERTS_KEY, partition
        raise ValueError(
            "must be a, a subject as verdicts show it, a slash and a rule id, or c@ and the number of a partition"
        )

    def render(value: AlertValue) -> Any:  # noqa: ANN401 - JSON
        return msgspec.to_builtins(msgspec.structs.asdict(value), str_keys=True)

    return _ShownTable(alerts, locate, render)


def _user(state: UserState, show: Callable[[str], str]) -> dict[str, Any]:
    privacy = state.privacy
    return {
        "stream_time": state.stream_time,
        "last_record_time": state.last_record_time,
        "last_place": None if state.last_place is None else state.last_place._asdict(),
        "last_event": None if state.last_event is None else _last_event(state.last_event),
        "privacy": {
            "opt_out": _mark(privacy.opt_out),
            "deletion": _mark(privacy.deletion),
            "consent_given": privacy.consent_given,
            "consent_withdrawn": privacy.consent_withdrawn,
        },
        "window": {
            "left_early": state.window.left_early,
            "entries": [_entry(entry, show) for entry in state.window.entries],
        },
    }


def _mark(mark: Any) -> dict[str, int | None]:  # noqa: ANN401 - a mark of the privacy record
    return {"since": mark.since, "last": mark.last, "until": mark.until}


def _entry(entry: Entry, show: Callable[[str], str]) -> dict[str, Any]:
    return {
        "time": entry.time,
        "identity": f"{entry.identity:016x}",
        "content": f"{entry.content:016x}",
        "region": entry.region,
        "network": mask_network(entry.network),
        "device": show(entry.device),
        "role": _ROLES[entry.role],
    }


def _last_event(last: LastEvent) -> dict[str, Any]:
    place = last.place_before
    return last._asdict() | {"place_before": None if place is None else place._asdict()}
