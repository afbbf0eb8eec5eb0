"""Batches: one Faust message for all records that one fetch brought of one partition.

The cost of Faust is per message: four tasks, a Message, an Event, an acknowledgement, a table write, a changelog
record. A batch pays it once for hundreds of records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import faust
from faust.types import TP, ConsumerMessage, EventT, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka import ConsumerRecord


class Chunk(NamedTuple):
    """What one fetch brought of one partition.

    Attributes:
        epoch: of the position that it was read from; a chunk of an older one is void.
        start: where reading began, at or before the first record.
        end: where it goes on, after the last record and what follows it that is no record.
        records: in the order of their offsets; there may be holes (compaction, transaction markers).
    """

    epoch: int
    start: int
    end: int
    records: list[ConsumerRecord[bytes, bytes]]


class Batch:
    """Records of one partition, as an agent gets them.

    Attributes:
        topic: their topic.
        partition: its number.
        records: aiokafka's ConsumerRecords, at least one.
        chunk: how they were read.
    """

    __slots__ = ("_on_finish", "chunk", "finished", "partition", "records", "topic")

    def __init__(self, topic: str, partition: int, chunk: Chunk, on_finish: Callable[[Batch], None]) -> None:
        self.topic = topic
        self.partition = partition
        self.records: Sequence[ConsumerRecord[bytes, bytes]] = chunk.records
        self.chunk = chunk
        self.finished = False
        self._on_finish = on_finish

    def __len__(self) -> int:
        return len(self.records)

    def __str__(self) -> str:
        first, last = self.records[0].offset, self.records[-1].offset
        return f"records {first} to {last} of {self.topic}/{self.partition}"

    def finish(self) -> None:
        """All of it is processed, or nothing of it will be; the next may come. Needed once only."""
        if not self.finished:
            self.finished = True
            self._on_finish(self)

    def as_message(self, generation: int) -> ConsumerMessage:
        """The batch in the form that Faust's conductor takes."""
        last = self.records[-1]
        return ConsumerMessage(
            self.topic,
            self.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            [],
            None,
            cast("bytes", self),
            None,
            0,
            0,
            TP(self.topic, self.partition),
            generation_id=generation,
        )


class BatchSource(faust.Topic):
    """A Faust topic (or several, co-partitioned) whose messages are whole batches; made by `WriteBehindTable`.

    Offsets are not acknowledged one by one: the table's watermark says what is done. A batch that an agent leaves
    without having processed it (because it raised) is delivered again.
    """

    def __init__(self, app: faust.App, *, on_abandoned: Callable[[Batch], None], **options: Any) -> None:
        options["acks"] = False
        super().__init__(app, **options)
        self._on_abandoned = on_abandoned
        self._handed_out: Batch | None = None

    def _clone_args(self) -> Mapping[str, Any]:
        return {**super()._clone_args(), "on_abandoned": self._on_abandoned}

    def get_topic_name(self) -> str:
        """All names; `faust agents` shows them."""
        return ", ".join(self.topics)

    def _compile_decode(self) -> None:
        self.decode = self._decode_batch  # type: ignore[method-assign]  # as Faust's own does

    async def _decode_batch(self, message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG002
        """Nothing to decode: a decoder that raises here would lose the record."""
        return self._create_event(None, message.value, message.headers, message=message)

    async def __anext__(self) -> EventT[Any]:
        before, self._handed_out = self._handed_out, None
        if before is not None and not before.finished:
            self._on_abandoned(before)
        event: EventT[Any] = await super().__anext__()
        self._handed_out = cast("Batch", event.value)
        return event
