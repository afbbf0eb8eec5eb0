"""Generated records, as a test writes them to its topics."""

import json
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Given(NamedTuple):
    """Records by topic name, in the order of their sending: (partition, key, value)."""

    topics: dict[str, list[tuple[int | None, bytes | None, bytes | None]]]

    @property
    def events(self) -> list[tuple[int | None, bytes | None, bytes | None]]:
        return self.topics["raw-events"]

    @property
    def requests(self) -> list[tuple[int | None, bytes | None, bytes | None]]:
        return self.topics.get("privacy-requests", [])


@cache
def generated(events: int, seed: int = 1, requests: int = 0, partitions: int = 4, *more: str) -> Given:
    """What `ott generate` writes; broken, late and repeated messages are among it."""
    topics: dict[str, list[tuple[int | None, bytes | None, bytes | None]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "generated.jsonl"
        options = {
            "--events": events,
            "--seed": seed,
            "--requests": requests,
            "--partitions": partitions,
            "--broken-share": 0.01,
            "--duplicate-share": 0.01,
            "--late-share": 0.01,
            "--format": "envelope",
            "--output": path,
        }
        command = [sys.executable, "-P", "-m", "pipeline.cli", "generate"]
        command += [str(word) for pair in options.items() for word in pair]
        subprocess.run([*command, *more], check=True, capture_output=True, timeout=120)
        with path.open("rb") as file:
            for line in file:
                topic, record = _record(json.loads(line))
                topics[topic].append(record)
    return Given(dict(topics))


def _record(envelope: dict) -> tuple[str, tuple[int | None, bytes | None, bytes | None]]:
    source, payload = envelope["source"], envelope["payload"]
    if payload is None:
        value = None
    elif envelope.get("payload_encoding") == "base64":
        value = b64decode(payload)
    else:
        value = payload.encode()
    key = source.get("key")
    return source["topic"], (source["partition"], None if key is None else key.encode(), value)
