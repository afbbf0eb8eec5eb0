"""The contract as documents: a JSON Schema for each message, and an AsyncAPI 3 document of the topics.

`python -m pipeline.contract docs/contract` writes them. A test checks that they are current.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from pipeline import __version__
from pipeline.alerting.alerts import ALERT_SCHEMA, PublishedAlert
from pipeline.coordination.pauses import PAUSE_SCHEMA, Pause
from pipeline.evaluation.control import CONTROL_SCHEMA, ControlApplied
from pipeline.evaluation.failed import FAILED_SCHEMA, FailedEvent
from pipeline.evaluation.model_book import IN_FORCE_SCHEMA, Publication
from pipeline.evaluation.verdict import VERDICT_SCHEMA, SubjectVerdict, Verdict
from pipeline.events.model import EVENT_SCHEMA, REQUEST_SCHEMA, PrivacyRequest, RawEvent
from pipeline.kafka.topics import (
    AUDIT_TRAIL,
    CONTROL_JOURNAL,
    FAILED_EVENTS,
    FLAGGED_EVENTS,
    MODEL_CONFIG,
    PRIVACY_REQUESTS,
    RAW_EVENTS,
    RAW_EVENTS_REKEYED,
    RISK_ALERTS,
    Topic,
)
from pipeline.web.access.audit_trail import AUDIT_SCHEMA, AuditRecord

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_COMPONENTS: Final = "#/$defs/{name}"

MESSAGES: Final[tuple[tuple[Topic, str], ...]] = (
    (RAW_EVENTS, EVENT_SCHEMA),
    (RAW_EVENTS_REKEYED, EVENT_SCHEMA),
    (PRIVACY_REQUESTS, REQUEST_SCHEMA),
    (FLAGGED_EVENTS, VERDICT_SCHEMA),
    (FAILED_EVENTS, FAILED_SCHEMA),
    (RISK_ALERTS, ALERT_SCHEMA),
    (MODEL_CONFIG, IN_FORCE_SCHEMA),
    (CONTROL_JOURNAL, CONTROL_SCHEMA),
    (AUDIT_TRAIL, AUDIT_SCHEMA),
)
"""The topics and the messages on them."""


def message_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every message, by name and version."""
    return {
        EVENT_SCHEMA: _of_model(RawEvent.model_json_schema(), EVENT_SCHEMA),
        REQUEST_SCHEMA: _of_model(PrivacyRequest.model_json_schema(), REQUEST_SCHEMA),
        VERDICT_SCHEMA: _of_structs(VERDICT_SCHEMA, Verdict, SubjectVerdict),
        FAILED_SCHEMA: _of_structs(FAILED_SCHEMA, FailedEvent),
        ALERT_SCHEMA: _of_structs(ALERT_SCHEMA, PublishedAlert),
        CONTROL_SCHEMA: _of_structs(CONTROL_SCHEMA, ControlApplied),
        AUDIT_SCHEMA: _of_structs(AUDIT_SCHEMA, AuditRecord),
        PAUSE_SCHEMA: _of_structs(PAUSE_SCHEMA, Pause),
        IN_FORCE_SCHEMA: _of_structs(IN_FORCE_SCHEMA, Publication),
    }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3 document: which messages this application receives and sends on which topics."""
    channels = {
        topic.name: {
            "address": topic.name,
            "description": f"Key: {topic.key}. Written by {topic.written_by}; read by {topic.read_by}.",
            "messages": {_file_stem(message): {"$ref": f"#/components/messages/{_file_stem(message)}"}},
            "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": [topic.cleanup]}}},
        }
        for topic, message in MESSAGES
    }
    received = {RAW_EVENTS.name, RAW_EVENTS_REKEYED.name, PRIVACY_REQUESTS.name}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Risk and compliance judgement on OTT telemetry",
            "version": __version__,
            "description": "Topic names may carry a prefix. Values are UTF-8 JSON, but for the files of models, "
            "which stand under the keys model/VERSION of model-config.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"{'receive' if name in received else 'send'}-{name}": {
                "action": "receive" if name in received else "send",
                "channel": {"$ref": f"#/channels/{name}"},
            }
            for name in channels
        },
        "components": {
            "messages": {
                _file_stem(message): {
                    "name": message,
                    "payload": {"schemaFormat": _DIALECT, "schema": {"$ref": f"{_file_stem(message)}.json"}},
                }
                for message in message_schemas()
            }
        },
    }


def documents() -> dict[str, str]:
    """The text of every document by its file name."""
    files = {f"{_file_stem(name)}.json": schema for name, schema in message_schemas().items()}
    files["asyncapi.json"] = asyncapi()
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in files.items()
    }


def _file_stem(message: str) -> str:
    return message.replace("/", "-")


def _of_model(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, "$id": f"{_file_stem(name)}.json", **schema}


def _of_structs(name: str, *structs: type[msgspec.Struct]) -> dict[str, Any]:
    schemas, components = msgspec.json.schema_components(
        structs, schema_hook=_anything, ref_template=_COMPONENTS
    )
    return {
        "$schema": _DIALECT,
        "$id": f"{_file_stem(name)}.json",
        "title": name,
        "anyOf": list(schemas),
        "$defs": components,
    }


def _anything(_: type) -> dict[str, Any]:
    return {"description": "what the rule puts there"}


def write(directory: Path) -> None:
    """Write every document into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
