"""The smallest handler that keeps state: it counts its keys, and publishes each count."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord

from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.unit import State

GOOD = b"good"
POISON = b"poison"
TOO_LARGE = b"too large"
NOT_ENCODABLE = b"not encodable"
BAD = {POISON: b"ValueError", TOO_LARGE: b"OutputTooLargeError", NOT_ENCODABLE: b"EncodingError"}
"""Records that cannot be processed, and the error that each of them causes."""


class Number:
    """A number that a handler changes in place."""

    def __init__(self, value: int) -> None:
        self.value = value


class NumberCodec:
    def encode(self, value: Number) -> bytes:
        return str(value.value).encode()

    def decode(self, data: bytes) -> Number:
        return Number(int(data))


def count(
    state: State[Number], records: Sequence[ConsumerRecord], topic: str, too_large: int
) -> list[Output]:
    """Publish each count to a topic, and note the record's offset; `too_large` bytes are too many for an output."""
    outputs = []
    for record in records:
        number = state.get(record.key)
        if number is None:
            number = Number(0)
        # The worst case: the value changes in place, and before the record fails.
        number.value += 1
        state[record.key] = number
        value = str(number.value).encode()
        if record.value == POISON:
            raise ValueError("poison")
        if record.value == TOO_LARGE:
            value = b"x" * too_large
        if record.value == NOT_ENCODABLE:
            state[record.key] = "no number"  # type: ignore[assignment]
        outputs.append(Output(topic, record.key, value))
        state.notes.append(record.offset)
    return outputs


def record_failure(record: ConsumerRecord, error: Exception, topic: str) -> list[Output]:
    return [Output(topic, record.key, f"{record.offset} {type(error).__name__}".encode())]
