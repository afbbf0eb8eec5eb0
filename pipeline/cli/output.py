"""What the commands write to standard output for programs."""

import json
import sys

from pipeline.writing import STANDARD_OUTPUT, naming


def print_json(value: object) -> None:
    """One JSON document on one line."""
    with naming(STANDARD_OUTPUT):
        sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
        sys.stdout.flush()
