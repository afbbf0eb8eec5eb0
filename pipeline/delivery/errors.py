"""What can end a worker. Each message names the thing, the value and the way out, and fits on one line."""

from aiokafka.errors import KafkaError, KafkaTimeoutError


class DeliveryError(Exception):
    """Delivery cannot go on; the message is for the person who runs the worker."""


class BrokerMissingError(DeliveryError):
    """No broker answers."""


class StoreError(DeliveryError):
    """A local store cannot be used: locked, corrupted, of another format, or the disk is full."""


class TopicError(DeliveryError):
    """A topic is missing, or does not fit its co-partitioned peers."""


class PoisonError(DeliveryError):
    """A record cannot be processed, and neither can its failure be recorded."""


class FencedError(Exception):
    """Another worker owns the partition now; what was not committed here belongs to it."""


def may_pass(error: KafkaError) -> bool:
    """Whether the same request may succeed later. aiokafka's own timeout does not say so of itself."""
    return error.retriable or isinstance(error, KafkaTimeoutError)
