"""Errors that end a worker. Each message names the thing, the value and the way out, and fits on one line."""

from aiokafka.errors import KafkaError, KafkaTimeoutError


class DeliveryError(Exception):
    """Delivery cannot continue; the message is for the person who runs the worker."""


class BrokerMissingError(DeliveryError):
    """No broker answers."""


class StoreError(DeliveryError):
    """A local store cannot be used: it is locked, corrupted or of another format, or the disk is full."""


class TopicError(DeliveryError):
    """A topic is missing, or its partition count differs from that of its co-partitioned topics."""


class PoisonError(DeliveryError):
    """A record cannot be processed, and its failure cannot be recorded either."""


def may_pass(error: KafkaError) -> bool:
    """Whether the same request may succeed later. aiokafka does not mark its own timeout as retriable."""
    return error.retriable or isinstance(error, KafkaTimeoutError)
