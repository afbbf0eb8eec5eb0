"""Streams for tests."""

from pathlib import Path

import pytest

from tests.stream.harness import Stream


@pytest.fixture
def stream(any_broker: str, topic_prefix: str, tmp_path: Path) -> Stream:
    """A stream on each broker."""
    return Stream(any_broker, topic_prefix, tmp_path)
