"""The worker: the application with its tables, agents, services and web server, put together and run.

`ott worker` calls `run`. `faust -A pipeline.worker worker` takes `app`, which is made from the settings of its
environment.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

from agents.alerts import AlertAgent
from agents.idle import IdleUsers
from agents.risk import RiskAgent, RiskTopics
from agents.titles import ChunkPublisher, TitleAgent
from pipeline.anomaly.drift import DriftWatch
from pipeline.app import ask_cluster, new_app, tune_collector
from pipeline.assembly import build_evaluator
from pipeline.coordination.model_config import ModelConfig, log_refused_model
from pipeline.coordination.pauses import Pauses
from pipeline.coordination.rule_config import RuleConfig, log_refused, log_unusable
from pipeline.delivery.errors import DeliveryError
from pipeline.delivery.flow.rekeying import Misplaced, Origins
from pipeline.delivery.kill_points import pass_by
from pipeline.delivery.process import DeliveryWorker
from pipeline.delivery.table import WriteBehindTable
from pipeline.errors import MissingError
from pipeline.evaluation.model_book import ModelBook
from pipeline.evaluation.rule_book import RuleBook
from pipeline.kafka.topics import (
    BY_DIMENSION,
    BY_SUBJECT,
    CONTROL_JOURNAL,
    FAILED_EVENTS,
    FLAGGED_EVENTS,
    HEALTH_PARTIALS,
    PRIVACY_REQUESTS,
    RAW_EVENTS,
    RAW_EVENTS_REKEYED,
    RISK_ALERTS,
    changelog,
)
from pipeline.logs import logging_config
from pipeline.settings.schema import load_settings
from pipeline.stopping import leave_on_sigterm
from pipeline.verdict_index.index import VerdictIndex
from pipeline.web.cluster.trust import trust_of
from pipeline.web.http.limits import raise_file_limit
from pipeline.web.http.tls import tls_of
from pipeline.web.install import install_web
from tables import alerts as alert_table
from tables import titles as titles_table
from tables.alerts import AlertCodec, AlertValue
from tables.risk import MODEL_KEY, TABLE_NAME, RiskCodec, RiskValue, model_of
from tables.titles import TitlesCodec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faust.types import StreamT
    from mode.types import ServiceT

    from pipeline.app import Cluster
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.flow.batches import Batch
    from pipeline.delivery.kill_points import Hook
    from pipeline.delivery.state.outputs import Output
    from pipeline.delivery.state.unit import State
    from pipeline.settings.schema import Settings
    from pipeline.titles.notes import Notes
    from pipeline.titles.state import TitlesValue

_TITLES_COMMIT: Final = 5
"""The title table is committed with every fifth commit, because its figures change with every event. That delays a
verdict on a minute, which waits a minute anyway, by some seconds."""


def run(settings: Settings, reached: Hook = pass_by, idle: IdleUsers | None = None) -> int:
    """Run one worker until it is stopped.

    Args:
        settings: of this worker.
        reached: called at each kill point; tests give it.
        idle: finds users to erase; tests give one that does not wait for a month.

    Returns:
        the exit status.

    Raises:
        OttError: something is missing, or does not fit.
    """
    raise_file_limit()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = loop.run_until_complete(_prepare(settings, reached, idle))
    tune_collector()
    worker = DeliveryWorker(
        app,
        loop=loop,
        loglevel=settings.log_level,
        logging_config=logging_config(settings),
        redirect_stdouts=False,
        quiet=True,
    )
    try:
        return worker.execute()
    except DeliveryError as error:
        raise MissingError(str(error)) from error


async def _prepare(settings: Settings, reached: Hook, idle: IdleUsers | None = None) -> DeliveryApp:
    # RocksDB and SQLite create files with the rights of the process. Only the owner may read the state of a worker.
    os.umask(0o077)
    # A TLS file that cannot be used is reported before the worker waits for the brokers.
    tls_of(settings)
    port = _web_port(settings)
    changelogs = [
        changelog(settings.app_id, TABLE_NAME),
        changelog(settings.app_id, alert_table.TABLE_NAME, BY_SUBJECT),
        changelog(settings.app_id, titles_table.TABLE_NAME, BY_DIMENSION),
    ]
    cluster = await ask_cluster(settings, changelogs)
    return build(settings, cluster, web_port=port, reached=reached, idle=idle)


def build(
    settings: Settings, cluster: Cluster, *, web_port: int, reached: Hook, idle: IdleUsers | None = None
) -> DeliveryApp:
    """The application with everything that a worker has."""
    trust = trust_of(settings)
    app = new_app(
        settings,
        cluster,
        web_port=web_port,
        tls=None if trust.tls is None else trust.tls.server,
        sign=trust.sign,
        reached=reached,
    )
    topics = RiskTopics(
        raw=settings.topic(RAW_EVENTS.name),
        rekeyed=settings.topic(RAW_EVENTS_REKEYED.name),
        requests=settings.topic(PRIVACY_REQUESTS.name),
        flagged=settings.topic(FLAGGED_EVENTS.name),
        failed=settings.topic(FAILED_EVENTS.name),
        journal=settings.topic(CONTROL_JOURNAL.name),
    )
    partitions = cluster.partitions[topics.raw]
    partials = settings.topic(HEALTH_PARTIALS.name)
    chunks = ChunkPublisher(partials, cluster.partitions[partials], (topics.raw, topics.rekeyed))
    sweep = idle or IdleUsers()

    def at_commit(unit: State[RiskValue], notes: list[Notes]) -> Iterator[Output | None]:
        yield from chunks.at_commit(unit, notes)
        yield from sweep.at_commit(unit, notes)

    users: WriteBehindTable[RiskValue] = WriteBehindTable(
        app,
        name=TABLE_NAME,
        help="per user: window, last place, privacy record, privacy requests; per partition: counts, rule set, model",
        codec=RiskCodec(),
        topics=(topics.raw, topics.rekeyed, topics.requests),
        partitions=partitions,
        at_commit=at_commit,
    )
    evaluator = build_evaluator(settings)
    drift = DriftWatch()
    evaluator.on_scored = drift.observe
    book = RuleBook(evaluator.ruleset, log_refused, log_unusable)
    pauses = Pauses(app.gate, users.source_topics, (topics.raw, topics.rekeyed))
    rule_config = RuleConfig(book, pauses, settings)
    _add_service(app, rule_config)
    model_book = ModelBook(log_refused_model)
    model_config = ModelConfig(model_book, settings)
    _add_service(app, model_config)
    origins = Origins(cluster.origin_key, app.metrics, accept_unproven=settings.accept_unproven_origins)
    misplaced = Misplaced(app.metrics, "user id")
    risk = RiskAgent(evaluator, book, model_book, topics, users.partition_of, misplaced, origins)

    @app.agent(users.source, name="risk")
    async def judge(batches: StreamT[Batch]) -> None:
        async for batch in batches:
            await rule_config.read_once()
            owned = app.ownership.find(TABLE_NAME, batch.partition)
            if owned is not None:
                await model_config.wait_for(model_of(owned.unit.peek(MODEL_KEY)))
            await users.process(batch, risk.handle, risk.poison)

    agent = TitleAgent(evaluator, book, topics.flagged, (topics.raw, topics.rekeyed), partitions)
    titles = _add_titles(app, settings, cluster, agent, rule_config)
    alerts = _add_alerts(app, settings, cluster)
    index = VerdictIndex(app.conf.appdir, settings)
    _add_service(app, index)
    install_web(
        app,
        settings,
        cluster,
        users,
        alerts,
        titles,
        evaluator,
        book,
        model_book,
        index,
        trust,
        rule_config,
        drift,
    )
    return app


def _add_service(app: DeliveryApp, service: ServiceT) -> None:
    app.service(service)  # type: ignore[arg-type]  # Faust also takes an instance


def _add_titles(
    app: DeliveryApp, settings: Settings, cluster: Cluster, titles: TitleAgent, rule_config: RuleConfig
) -> WriteBehindTable[TitlesValue]:
    partials = settings.topic(HEALTH_PARTIALS.name)
    table: WriteBehindTable[TitlesValue] = WriteBehindTable(
        app,
        name=titles_table.TABLE_NAME,
        help="per title, device, region, plan and rule: figures, and by minute what happened",
        codec=TitlesCodec(),
        topics=(partials,),
        partitions=cluster.partitions[partials],
        commit_every=_TITLES_COMMIT,
    )

    @app.agent(table.source, name="titles")
    async def judge_titles(batches: StreamT[Batch]) -> None:
        async for batch in batches:
            await rule_config.read_once()
            await table.process(batch, titles.handle, titles.poison)

    return table


def _add_alerts(app: DeliveryApp, settings: Settings, cluster: Cluster) -> WriteBehindTable[AlertValue]:
    flagged = settings.topic(FLAGGED_EVENTS.name)
    table: WriteBehindTable[AlertValue] = WriteBehindTable(
        app,
        name=alert_table.TABLE_NAME,
        help="per subject and rule: the living alert",
        codec=AlertCodec(),
        topics=(flagged,),
        partitions=cluster.partitions[flagged],
    )
    alerts = AlertAgent(settings.topic(RISK_ALERTS.name))

    @app.agent(table.source, name="alerts")
    async def alert(batches: StreamT[Batch]) -> None:
        async for batch in batches:
            await table.process(batch, alerts.handle, alerts.poison)

    return table


def _web_port(settings: Settings) -> int:
    """Find the port of the web server before anything is started. Port 0 becomes a free one.

    Raises:
        MissingError: the port cannot be used.
    """
    host, port = settings.web_host, settings.web_port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise MissingError(
            f"port {port} on {host} (web server) cannot be used: {error.strerror}; choose another with --web-port or "
            "OTT_WEB_PORT"
        ) from error


def __getattr__(name: str) -> DeliveryApp:
    """`app`, for `faust -A pipeline.worker`. It is made on access, because that needs the brokers."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    leave_on_sigterm()
    raise_file_limit()
    app = asyncio.run(_prepare(load_settings(), pass_by))
    asyncio.set_event_loop(asyncio.new_event_loop())
    globals()[name] = app
    return app
