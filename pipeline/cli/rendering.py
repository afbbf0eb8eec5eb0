"""Records of our topics as lines for a person. All functions here are pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pipeline.events.foreign import UnreadableError, read_object
from pipeline.runbook import GUIDANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS = ("NONE", "LOW", "MEDIUM", "HIGH")
_LEVEL_STYLES = {"NONE": "green", "LOW": "cyan", "MEDIUM": "yellow", "HIGH": "bold red"}
_LEVEL_WIDTH = max(len(level) for level in LEVELS)
_PAYLOAD_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record. `topic` has no prefix; `timestamp_ms` is negative if the record has no timestamp."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None

    def document(self) -> dict[str, Any] | None:
        """The value as a JSON object, or None if it is none."""
        try:
            return read_object(self.value)
        except UnreadableError:
            return None


@dataclass(frozen=True, slots=True)
class Filter:
    """Chooses which records are shown. A filter that is None admits all.

    Attributes:
        level: verdicts of this risk level or a higher one.
        rule: verdicts with a finding of this rule, or of this family of rules (`privacy`).
        user: records of the user or subject with this id.
    """

    level: str | None = None
    rule: str | None = None
    user: str | None = None

    def admits(self, record: Record) -> bool:
        """Whether the record is shown."""
        document = record.document()
        if document is None:
            return (
                self.level is None
                and self.rule is None
                and (self.user is None or record.key == self.user.encode())
            )
        return (
            self._admits_level(document)
            and self._admits_rule(document)
            and self._admits_user(record, document)
        )

    def _admits_level(self, document: Mapping[str, Any]) -> bool:
        if self.level is None:
            return True
        level = document.get("risk_level")
        return level in LEVELS and LEVELS.index(level) >= LEVELS.index(self.level)

    def _admits_rule(self, document: Mapping[str, Any]) -> bool:
        if self.rule is None:
            return True
        rules = [str(finding.get("rule_id")) for finding in _objects(document.get("findings"))]
        return any(rule == self.rule or rule.startswith(f"{self.rule}.") for rule in rules)

    def _admits_user(self, record: Record, document: Mapping[str, Any]) -> bool:
        if self.user is None:
            return True
        subject, source = document.get("subject"), document.get("source")
        candidates = [document.get("user_id")]
        candidates += [subject.get("id")] if isinstance(subject, dict) else []
        candidates += [source.get("key")] if isinstance(source, dict) else []
        return self.user in candidates or record.key == self.user.encode()


def render(record: Record) -> Text:
    """A record as one line: time, level or reason, subject, and the findings in words."""
    document = record.document()
    if document is not None and document.get("schema") == "risk-verdict/1":
        return _verdict(document)
    if document is not None and document.get("schema") == "failed-event/1":
        return _failed(record, document)
    line = Text.assemble((_time(record.timestamp_ms), "dim"))
    line.append(f"  {record.topic}[{record.partition}]@{record.offset}", style="dim")
    line.append(f"  {_shown(record.key)}: ", style="bold")
    line.append(_shorten(_shown(record.value)), style="")
    return line


def runbook_lines(record: Record, shown: set[str]) -> list[Text]:
    """What to do about a verdict: an indented line for each rule with a finding that is not yet in `shown`.

    The rules are added to `shown`. The line of a rule is always the same, so it is printed once.
    """
    document = record.document()
    if document is None or document.get("schema") != "risk-verdict/1":
        return []
    lines = []
    for finding in _objects(document.get("findings")):
        rule_id = str(finding.get("rule_id"))
        if rule_id in GUIDANCE and rule_id not in shown:
            shown.add(rule_id)
            lines.append(Text.assemble("    ", (f"[{rule_id}] ", "blue"), (GUIDANCE[rule_id].runbook, "dim")))
    return lines


def envelope(record: Record) -> str:
    """A record as one line of JSON that `ott judge` reads."""
    value = record.value or b""
    try:
        payload, encoding = value.decode(), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(value).decode(), "base64"
    try:
        key = None if record.key is None else record.key.decode()
    except UnicodeDecodeError:
        key = None
    source = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key": key,
    }
    document = {"source": source, "payload": payload, "payload_encoding": encoding}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def printable(text: str) -> str:
    """Escape control characters, so that text of a producer cannot control the terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _verdict(document: Mapping[str, Any]) -> Text:
    level = str(document.get("risk_level"))
    subject = document.get("subject")
    subject = subject if isinstance(subject, dict) else {}
    line = Text.assemble((printable(str(document.get("event_time"))), "dim"))
    line.append(f"  {printable(level):{_LEVEL_WIDTH}}", style=_LEVEL_STYLES.get(level, ""))
    line.append(f" {printable(str(document.get('score'))):>2}", style=_LEVEL_STYLES.get(level, ""))
    line.append(f"  {printable(str(subject.get('type')))} ", style="dim")
    line.append(printable(str(subject.get("id"))), style="bold")
    place = [
        str(document[name]) for name in ("region", "event_type", "change") if document.get(name) is not None
    ]
    if place:
        line.append(f" ({printable(', '.join(place))})", style="dim")
    if document.get("late") is True:
        line.append(" late", style="magenta")
    for index, finding in enumerate(_objects(document.get("findings"))):
        line.append("; " if index else "  ", style="dim")
        line.append(printable(str(finding.get("summary"))), style="")
        line.append(f" [{printable(str(finding.get('rule_id')))}]", style="blue")
    return line


def _failed(record: Record, document: Mapping[str, Any]) -> Text:
    source = document.get("source")
    source = source if isinstance(source, dict) else {}
    stamp = source.get("timestamp")
    line = Text.assemble((_time(stamp if isinstance(stamp, int) else record.timestamp_ms), "dim"))
    line.append(f"  FAILED  {printable(str(document.get('reason')))}", style="bold red")
    place = f"{source.get('topic')}[{source.get('partition')}]@{source.get('offset')}"
    line.append(f"  {printable(place)}", style="dim")
    if source.get("key") is not None:
        line.append(f" {printable(str(source['key']))}", style="bold")
    for index, error in enumerate(_objects(document.get("errors"))):
        line.append("; " if index else "  ", style="dim")
        if error.get("type") == "opt_out_not_recorded":
            line.append("OPT-OUT NOT RECORDED: ", style="bold red")
        path = error.get("path")
        where = ".".join(map(str, path)) if isinstance(path, list) else path
        line.append(
            printable(f"{where}: {error.get('message')}" if where else str(error.get("message"))), style=""
        )
    line.append(f"  {_shorten(printable(str(document.get('payload'))))}", style="dim")
    return line


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _time(timestamp_ms: int) -> str:
    if timestamp_ms < 0:
        return "no timestamp"
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"timestamp {timestamp_ms}"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(value: bytes | None) -> str:
    return "(none)" if value is None else printable(value.decode("utf-8", "backslashreplace"))


def _shorten(text: str) -> str:
    return text if len(text) <= _PAYLOAD_SHOWN else f"{text[:_PAYLOAD_SHOWN]}..."
