"""The command `ott` as a child process, and ports where nothing answers."""

import os
import socket
import sys

import pytest

from pipeline.lab.local.ports import free_ports
from tests.pipeline.ott import run_ott


def clean_environment(**variables):
    """This process's environment without settings of ours, which a developer may have exported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTT_")}
    return {**kept, **variables}


@pytest.fixture
def ott_command():
    """What starts `ott`, to be followed by its arguments."""
    return [sys.executable, "-P", "-m", "pipeline.cli"]


@pytest.fixture
def ott(tmp_path):
    """Runs `ott` to its end in an empty directory; variables by name."""

    def run(*arguments, stdin="", stdout=None, timeout=60, **variables):
        return run_ott(arguments, tmp_path, clean_environment(**variables), stdin, stdout, timeout)

    return run


@pytest.fixture
def free_port():
    """A port of 127.0.0.1 on which nobody listens."""
    return free_ports()[0]


@pytest.fixture
def silent_port():
    """A port of 127.0.0.1 that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
