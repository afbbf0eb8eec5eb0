"""Batches: one Faust message contains all records that one fetch returned of one partition.

Faust's cost is per message: four tasks, a Message, an Event, an acknowledgement, a table write and a changelog record.
A batch pays it once for hundreds of records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import faust
from faust.types import TP, ConsumerMessage, EventT, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka import ConsumerRecord


class Chunk(NamedTuple):
    """What one fetch returned of one partition.

    Attributes:
        epoch: the number of the placement (`Positions.place`) that it was read after; older chunks are void.
        start: the offset where reading began, at or before the first record.
        end: the offset of the next fetch, behind the last record and any transaction markers after it.
        records: in the order of their offsets; offsets may be missing (compaction, transaction markers).
    """

    epoch: int
    start: int
    end: int
    records: list[ConsumerRecord[bytes, bytes]]


class Batch:
    """Records of one partition, as an agent receives them.

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

    @property
    def tp(self) -> TP:
        """Topic and partition."""
        return TP(self.topic, self.partition)

    def finish(self) -> None:
        """Allow the next batch: this one is processed, or void. Further calls do nothing."""
        if not self.finished:
            self.finished = True
            self._on_finish(self)

    def as_message(self, generation: int) -> ConsumerMessage:
        """The batch as a message for Faust's conductor."""
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
            self.tp,
            generation_id=generation,
        )


class BatchSource(faust.Topic):
    """A Faust topic (or several co-partitioned ones) whose messages are whole batches; `WriteBehindTable` makes it.

    Offsets are not acknowledged one by one, because the table's watermark says what is processed. A batch that the
    agent did not process (because it raised) is delivered again.
    """

    def __init__(self, app: faust.App, *, on_abandoned: Callable[[Batch], None], **options: Any) -> None:
        options["acks"] = False
        super().__init__(app, **options)
        self._on_abandoned = on_abandoned
        self._handed_out: Batch | None = None

    def _clone_args(self) -> Mapping[str, Any]:
        return {**super()._clone_args(), "on_abandoned": self._on_abandoned}

    def get_topic_name(self) -> str:
        """The names of all topics; `faust agents` shows them."""
        return ", ".join(self.topics)

    def _compile_decode(self) -> None:
        self.decode = self._decode_batch  # type: ignore[method-assign]  # as Faust's own does

    async def _decode_batch(self, message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG002
        """Pass the batch on. A decoder that raised here would lose the records."""
        return self._create_event(None, message.value, message.headers, message=message)

    async def __anext__(self) -> EventT[Any]:
        before, self._handed_out = self._handed_out, None
        if before is not None and not before.finished:
            self._on_abandoned(before)
        event: EventT[Any] = await super().__anext__()
        self._handed_out = cast("Batch", event.value)
        return event
