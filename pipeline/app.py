"""The Faust application, made from the settings and from the answers of the cluster. `worker` adds everything else."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError
from yarl import URL

from pipeline.coordination.origin_key import shared_key
from pipeline.delivery.app import DeliveryApp
from pipeline.delivery.clients import has_transactions
from pipeline.delivery.errors import BrokerMissingError, may_pass
from pipeline.delivery.kill_points import pass_by
from pipeline.delivery.options import DeliveryOptions
from pipeline.errors import MissingError
from pipeline.kafka.topics import CONTROL_JOURNAL, FAILED_EVENTS, ensure_topics, origin_key

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.delivery.kill_points import Hook
    from pipeline.kafka.topics import Topic
    from pipeline.settings.schema import Settings

BROKER_WAIT_S: Final = 60.0
_TRANSACTIONS_WAIT_S: Final = 30.0
_RETRY_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)
_EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing listens there because of this

# The caches hold hundreds of thousands of long-lived objects. With Python's defaults the collector scans them after
# every 700 allocations, which takes a fifth of the time.
_GC_THRESHOLDS: Final = (100_000, 50, 100)


def tune_collector() -> None:
    """Set up Python's garbage collector for a process with many long-lived objects. Call it once, after the start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the application has to know of the cluster.

    Attributes:
        partitions: the partition count of each topic, by full name.
        transactional: whether the brokers have transactions.
        origin_key: see `pipeline.coordination.origin_key`.
    """

    partitions: Mapping[str, int]
    transactional: bool
    origin_key: bytes


async def ask_cluster(settings: Settings, changelogs: Sequence[Topic]) -> Cluster:
    """Wait for the brokers, create missing topics, and ask what the brokers can do.

    If a broker restarts meanwhile, everything is asked again.

    Raises:
        MissingError: no broker answers in time, a broker refuses the topic of the origin key, or there are no
            transactions and this is not the demo.
        RefusedError: topics that must have the same partition count have different ones.
    """
    deadline = time.monotonic() + BROKER_WAIT_S
    while True:
        try:
            return await _ask_once(settings, changelogs)
        except MissingError as error:
            if not _passes(error) or time.monotonic() >= deadline:
                raise
            _LOG.info("%s; asking again", error)
        await asyncio.sleep(_RETRY_S)


def _passes(error: BaseException) -> bool:
    """Whether the error was caused by a broker's error that the next attempt may not meet."""
    cause = error.__cause__
    return cause is not None and ((isinstance(cause, KafkaError) and may_pass(cause)) or _passes(cause))


async def _ask_once(settings: Settings, changelogs: Sequence[Topic]) -> Cluster:
    key_topic = origin_key(settings.app_id)
    report = await ensure_topics(settings, BROKER_WAIT_S, also=(*changelogs, key_topic))
    try:
        transactional = await has_transactions(
            settings.kafka_client_options(), settings.app_id, _TRANSACTIONS_WAIT_S
        )
    except BrokerMissingError as error:
        raise MissingError(str(error)) from error
    if not transactional and not settings.demo:
        raise MissingError(
            f"the broker at {settings.bootstrap_servers} has no transactions: a crash would lose or double verdicts; "
            "use Apache Kafka, or set OTT_DEMO=true to try things out"
        )
    return Cluster(report.partitions, transactional, await shared_key(settings, key_topic.name))


def new_app(
    settings: Settings,
    cluster: Cluster,
    *,
    web_port: int,
    tls: ssl.SSLContext | None = None,
    sign: Callable[[URL], URL] = lambda url: url,
    reached: Hook = pass_by,
) -> DeliveryApp:
    """Make the application.

    Args:
        settings: of this worker.
        cluster: as `ask_cluster` found it.
        web_port: where the web server listens, a real port.
        tls: of the web server; None for plain HTTP.
        sign: adds a proof to the address at which the other workers find this one.
        reached: called at each kill point; tests give it.
    """
    session = settings.session_timeout_ms / 1000
    return DeliveryApp(
        settings.app_id,
        client_options=settings.kafka_client_options(),
        transactional=cluster.transactional,
        topic_partitions=cluster.partitions,
        options=DeliveryOptions(
            only_written=frozenset(
                {settings.topic(FAILED_EVENTS.name), settings.topic(CONTROL_JOURNAL.name)}
            ),
        ),
        reached=reached,
        datadir=settings.state_dir.absolute(),
        # For the banner only: Faust does not make the tables.
        store="rocksdb:",
        topic_replication_factor=settings.replication_factor,
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 3,
        broker_commit_interval=settings.commit_interval_ms / 1000,
        consumer_group_instance_id=settings.instance_id,
        table_standby_replicas=settings.standby_replicas,
        **_web(settings, web_port, tls, sign),
    )


def _web(
    settings: Settings, port: int, tls: ssl.SSLContext | None, sign: Callable[[URL], URL]
) -> dict[str, Any]:
    listens = settings.web_host
    # The other workers ask this one at the address where it listens, or by the machine's name if that is every address.
    host = socket.gethostname() if listens in _EVERY_ADDRESS else listens
    url = URL.build(scheme="http" if tls is None else "https", host=host, port=port)
    return {
        "web_bind": listens,
        "web_host": url.raw_authority.rpartition(":")[0],
        "web_port": port,
        "web_ssl_context": tls,
        "canonical_url": sign(url),
        # Faust's own views would answer without a log-in.
        "web_router_enabled": False,
        "web_tables_enabled": False,
        "web_graph_enabled": False,
        "web_stats_enabled": False,
        "web_metrics_enabled": False,
    }
