"""The machine that a benchmark ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine(broker: str) -> dict[str, str | int | float]:
    """Processor, memory, system and versions, for beside the numbers.

    Args:
        broker: what it ran against, in words.
    """
    return {
        "cpu": _processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "faust": version("faust-streaming"),
        "broker": broker,
    }


def _processor() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
