#!/usr/bin/env python3
"""The long-known name of `ott generate`: the same options, started by any Python after scripts/setup."""

import os
import sys
from pathlib import Path

MISSING = 3

if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    # The environment is a link to the system's Python inside: resolving it would lose the environment.
    python = root / ".venv" / "bin" / "python"
    if not (root / ".venv" / "bin" / "ott").exists():
        sys.stderr.write(f"ott: {root / '.venv'} is not set up; run {root / 'scripts' / 'setup'} first\n")
        sys.exit(MISSING)
    # -P: a directory named `pipeline` where this is started must not stand in for ours.
    os.execv(python, [str(python), "-P", "-m", "pipeline.cli", "generate", *sys.argv[1:]])  # noqa: S606 - no shell, on purpose
