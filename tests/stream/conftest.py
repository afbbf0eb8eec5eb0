"""Streams for tests."""

from pathlib import Path

import pytest

from tests.stream.harness import Stream


@pytest.fixture
def stream(apache_kafka: str, topic_prefix: str, tmp_path: Path) -> Stream:
    """A stream on Apache Kafka, where a crash must not show."""
    return Stream(apache_kafka, topic_prefix, tmp_path)
