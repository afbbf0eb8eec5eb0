"""Asking the brokers for partition counts and ids of topics.

aiokafka uses a version of the request without topic ids (KIP-516). A topic that was deleted and recreated has the same
name and often the same number of partitions. Only its id shows that it is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from pipeline.delivery.clients import ended

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from io import BytesIO

_NO_ID: Final = bytes(16)


class Found(NamedTuple):
    """A topic, as the brokers describe it.

    Attributes:
        partitions: their number; 0 if there is no such topic.
        topic_id: None if the brokers have no ids (Kafka before 3.1, the embedded broker).
    """

    partitions: int
    topic_id: bytes | None


class _Uuid(AbstractType[bytes]):
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _AskForTopics(Request[MetadataRequest_v5 | _MetadataRequest]):
    """Asks by name, without creating topics, in the newer of the two versions that the broker supports."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(
        self, request_struct_class: type[MetadataRequest_v5 | _MetadataRequest]
    ) -> MetadataRequest_v5 | _MetadataRequest:
        if request_struct_class is _MetadataRequest:
            return _MetadataRequest([(_NO_ID, name, {}) for name in self._topics], False, False, {})
        return MetadataRequest_v5(list(self._topics), False)


class TopicMetadata:
    """A connection that is used for nothing else; it is opened again after a failure.

    Args:
        client_options: bootstrap servers and security, as aiokafka names them.
        request_timeout: seconds.
    """

    def __init__(self, client_options: Mapping[str, Any], request_timeout: float) -> None:
        self._options = {**client_options, "request_timeout_ms": int(request_timeout * 1000)}
        self._client: AIOKafkaClient | None = None

    async def ask(self, topics: Collection[str]) -> dict[str, Found]:
        """The topics as one of the brokers describes them, without those that it refuses to describe (no permission).

        Raises:
            KafkaError: no broker answers.
        """
        try:
            client = await self._connected()
            # While no broker is known, there is no node, and the client raises that it is not ready.
            response = await client.send(client.get_random_node(), _AskForTopics(topics))
        except BaseException:
            await self.close()
            raise
        found = {}
        for topic in response.to_object()["topics"]:
            code, name = topic.get("error_code"), topic.get("name", topic.get("topic"))
            missing = code == UnknownTopicOrPartitionError.errno
            if code and not missing:
                continue
            found[name] = Found(
                0 if missing else len(topic["partitions"]),
                None if missing or topic.get("topic_id") == _NO_ID else topic.get("topic_id"),
            )
        return found

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            self._client = AIOKafkaClient(**self._options)
            await self._client.bootstrap()
        return self._client

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await ended(client.close())
