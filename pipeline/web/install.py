"""The list of all view modules, and the web server that is made of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

from pipeline.delivery.partitioner import Partitioner
from pipeline.kafka.topics import (
    AUDIT_TRAIL,
    FAILED_EVENTS,
    MODEL_CONFIG,
    PRIVACY_REQUESTS,
    RAW_EVENTS,
    RULE_CONFIG,
)
from pipeline.web.access.accounts import Accounts
from pipeline.web.access.audit_trail import AuditLog
from pipeline.web.access.client_address import ClientAddresses
from pipeline.web.access.tokens import Tokens
from pipeline.web.cluster.peers import Peers
from pipeline.web.http.outbox import Outbox
from pipeline.web.http.serving import install
from pipeline.web.views import (
    alerts,
    api,
    audit,
    backtests,
    compliance,
    drift,
    events,
    explanation,
    metrics,
    models,
    page,
    privacy,
    probes,
    process,
    results,
    rules,
    stats,
    stats_subjects,
    tables,
    token,
    users,
)
from pipeline.web.views.status import WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web
    from faust.web.drivers.aiohttp import Web as FaustWeb

    from pipeline.anomaly.drift import DriftWatch
    from pipeline.app import Cluster
    from pipeline.coordination.rule_config import RuleConfig
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.evaluator import Evaluator
    from pipeline.evaluation.model_book import ModelBook
    from pipeline.evaluation.rule_book import RuleBook
    from pipeline.settings.schema import Settings
    from pipeline.titles.state import TitlesValue
    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.web.cluster.trust import Trust
    from pipeline.web.http.calls import Handlers
    from pipeline.web.http.routes import Route
    from tables.alerts import AlertValue
    from tables.risk import RiskValue

_VIEWS: Final = (
    page,
    api,
    probes,
    metrics,
    token,
    events,
    stats,
    stats_subjects,
    users,
    compliance,
    explanation,
    results,
    alerts,
    rules,
    backtests,
    drift,
    models,
    tables,
    privacy,
    process,
    audit,
)
ROUTES: Final[tuple[Route, ...]] = tuple(route for view in _VIEWS for route in view.ROUTES)
"""All routes. What is not here is not served."""

_LOG: Final = logging.getLogger(__name__)


def install_web(
    app: DeliveryApp,
    settings: Settings,
    cluster: Cluster,
    users_table: WriteBehindTable[RiskValue],
    alerts_table: WriteBehindTable[AlertValue],
    titles_table: WriteBehindTable[TitlesValue],
    evaluator: Evaluator,
    book: RuleBook,
    model_book: ModelBook,
    index: VerdictIndex,
    trust: Trust,
    rule_config: RuleConfig,
    drift_watch: DriftWatch,
) -> None:
    """Serve the web views; called once, before the worker starts.

    Args:
        app: the application.
        settings: of this worker.
        cluster: the topics' partitions.
        users_table: the risk agent's table.
        alerts_table: the alert agent's table.
        titles_table: the title agent's table.
        evaluator: gives the form of ids in outputs.
        book: the rule sets.
        model_book: the anomaly models.
        index: the verdict index.
        trust: secret, proofs and TLS of this worker.
        rule_config: follows the rule sets, pauses and revocations that operators publish.
        drift_watch: counts what this worker scores.

    Raises:
        MissingError: the users file cannot be read.
        UsageError: the users file is not valid.
    """
    demo, options, show = settings.demo, settings.kafka_client_options(), evaluator.show
    raw, requests, failed, audit_topic, config, model_config = (
        settings.topic(topic.name)
        for topic in (RAW_EVENTS, PRIVACY_REQUESTS, FAILED_EVENTS, AUDIT_TRAIL, RULE_CONFIG, MODEL_CONFIG)
    )
    served = [route for route in ROUTES if demo or not route.demo]
    accounts, addresses = Accounts(settings.users_file, demo=demo), ClientAddresses(settings.trusted_proxies)
    tokens = Tokens(trust.secret, accounts, rule_config.revocations)
    peers = Peers(app, trust.proofs, trust.tls)
    partitioners = {name: Partitioner(count) for name, count in cluster.partitions.items()}
    # All records of models are in partition 0.
    partitioners[model_config] = Partitioner(1)
    outbox = Outbox(options, partitioners)
    audit_log = AuditLog(outbox, options, audit_topic, show)
    pauses, status = rule_config.pauses, WorkerStatus(app, users_table)
    registry = metrics.Metrics(app, users_table, titles_table, drift_watch, model_book)
    backtesting = backtests.Backtests(settings, users_table, peers)
    views: list[Handlers] = [
        page.page_views(),
        api.api_views(status, served, demo=demo),
        probes.probe_views(status, pauses),
        registry.views(),
        token.token_views(accounts, tokens, audit_log, outbox, rule_config, config),
        events.event_views(outbox, raw, failed),
        stats.stats_views(status, app, users_table, peers, pauses, show, demo=demo),
        stats_subjects.subject_views(app, titles_table, peers, show, index),
        users.user_views(users_table, peers, book, model_book, index, show),
        compliance.compliance_views(index, show),
        explanation.explanation_views(settings, show),
        results.result_views(users_table, peers, show),
        alerts.alert_views(index),
        rules.rule_views(users_table, peers, book, outbox, config, index),
        backtesting.views(),
        drift.drift_views(users_table, peers, drift_watch),
        models.model_views(users_table, peers, model_book, outbox, model_config),
        tables.table_views(users_table, titles_table, alerts_table, peers, show),
        privacy.privacy_views(users_table, peers, outbox, requests, show),
        process.process_views(app, users_table, peers, outbox, config, rule_config),
        audit.audit_views(audit_log),
    ]
    install(app, served, views, tokens, peers, audit_log, addresses=addresses, observe=registry.observe)
    server = cast("FaustWeb", app.web).web_app
    server.on_startup.append(_warner(tokens))
    server.on_cleanup.extend([audit_log.close, outbox.close, backtesting.close])


def _warner(tokens: Tokens) -> Callable[[web.Application], Awaitable[None]]:
    async def warn(_: web.Application) -> None:
        """Runs when the server starts, because a command that only lists tables serves nobody."""
        missing = tokens.missing()
        if missing:
            _LOG.warning("the views behind a log-in stay closed: %s", "; ".join(missing))

    return warn
