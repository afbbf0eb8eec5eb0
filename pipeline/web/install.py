"""The web views of a worker, put together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, cast

from pipeline.delivery.partitioner import Partitioner
from pipeline.kafka.topics import (
    AUDIT_TRAIL,
    FAILED_EVENTS,
    PRIVACY_REQUESTS,
    RAW_EVENTS,
    RULE_CONFIG,
)
from pipeline.web.access.accounts import Users
from pipeline.web.access.audit_trail import AuditTrail
from pipeline.web.access.client_address import ClientAddresses
from pipeline.web.access.tokens import Tokens
from pipeline.web.cluster.peers import Peers
from pipeline.web.http.outbox import Outbox
from pipeline.web.http.serving import install
from pipeline.web.views import (
    alerts as alerts_view,
)
from pipeline.web.views import (
    audit,
    compliance,
    ingest,
    login,
    page,
    probes,
    process,
    rule_sets,
    summary,
    tables,
)
from pipeline.web.views import (
    metrics as metrics_view,
)
from pipeline.web.views import (
    titles as titles_view,
)
from pipeline.web.views import (
    users as users_view,
)
from pipeline.web.views.alerts import alert_views
from pipeline.web.views.audit import audit_views
from pipeline.web.views.compliance import compliance_views
from pipeline.web.views.ingest import ingest_views
from pipeline.web.views.login import login_views
from pipeline.web.views.metrics import Metrics
from pipeline.web.views.page import page_views
from pipeline.web.views.probes import probe_views
from pipeline.web.views.process import process_views
from pipeline.web.views.rule_sets import rule_views
from pipeline.web.views.standing import Standing
from pipeline.web.views.summary import summary_views
from pipeline.web.views.tables import alert_shelf, risk_shelf, table_views, title_shelf
from pipeline.web.views.titles import title_views
from pipeline.web.views.users import request_views, user_views

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web
    from faust.web.drivers.aiohttp import Web as FaustWeb

    from pipeline.app import Cluster
    from pipeline.coordination.rule_config import RuleConfig
    from pipeline.delivery.app import DeliveryApp
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.evaluator import Evaluator
    from pipeline.evaluation.rule_book import RuleBook
    from pipeline.settings.schema import Settings
    from pipeline.titles.state import TitlesValue
    from pipeline.verdict_index.index import VerdictIndex
    from pipeline.web.cluster.trust import Trust
    from pipeline.web.http.serving import Handlers
    from tables.alerts import AlertValue
    from tables.risk import RiskValue

_LOG: Final = logging.getLogger(__name__)

_VIEWS: Final = (
    page,
    probes,
    metrics_view,
    login,
    ingest,
    summary,
    titles_view,
    users_view,
    compliance,
    alerts_view,
    rule_sets,
    tables,
    process,
    audit,
)
ROUTES: Final = tuple(route for view in _VIEWS for route in view.ROUTES)
"""Every route. What is in no view module is not served."""


def install_web(
    app: DeliveryApp,
    settings: Settings,
    cluster: Cluster,
    users: WriteBehindTable[RiskValue],
    alerts: WriteBehindTable[AlertValue],
    titles: WriteBehindTable[TitlesValue],
    evaluator: Evaluator,
    book: RuleBook,
    index: VerdictIndex,
    trust: Trust,
    rule_config: RuleConfig,
) -> None:
    """Serve the web views.

    Args:
        app: the application.
        settings: of this worker.
        cluster: the topics' partitions.
        users: the risk agent's table.
        alerts: the alert agent's table.
        titles: the title agent's table.
        evaluator: the one evaluation.
        book: the rule sets.
        index: of verdicts.
        rule_config: what operators publish: rule sets and pauses.
        trust: secret, proofs and TLS of this worker.

    Raises:
        MissingError: the users file cannot be read.
        UsageError: it is not valid.
    """
    demo, options, show = settings.demo, settings.kafka_client_options(), evaluator.show
    raw, requests, failed, audit = (
        settings.topic(topic.name) for topic in (RAW_EVENTS, PRIVACY_REQUESTS, FAILED_EVENTS, AUDIT_TRAIL)
    )
    accounts = Users(settings.users_file, demo=demo)
    tokens = Tokens(trust.secret, accounts, rule_config.revocations)
    peers = Peers(app, trust.proofs, trust.tls)
    outbox = Outbox(options, {name: Partitioner(count) for name, count in cluster.partitions.items()})
    trail = AuditTrail(outbox, options, audit, show)
    metrics = Metrics(app, users, titles)
    views: list[Handlers] = [
        page_views([route for route in ROUTES if demo or not route.demo]),
        probe_views(Standing(app, users), rule_config.pauses, demo=demo),
        metrics.views(),
        login_views(accounts, tokens, trail, outbox, rule_config, settings.topic(RULE_CONFIG.name)),
        ingest_views(outbox, raw, failed),
        summary_views(app, users, peers, rule_config.pauses, show),
        title_views(app, titles, peers, show, index),
        user_views(users, peers, book, index, show),
        request_views(outbox, requests),
        table_views([risk_shelf(users, show), title_shelf(titles, show), alert_shelf(alerts)], peers),
        process_views(app, users, peers, outbox, settings.topic(RULE_CONFIG.name), rule_config),
        compliance_views(index, show),
        alert_views(index),
        rule_views(users, peers, book, outbox, settings.topic(RULE_CONFIG.name), index),
        audit_views(trail),
    ]
    install(
        app,
        ROUTES,
        views,
        tokens,
        peers,
        trail,
        demo=demo,
        observe=metrics.observe,
        addresses=ClientAddresses(settings.trusted_proxies),
    )
    server = cast("FaustWeb", app.web).web_app
    server.on_startup.append(_warner(tokens))
    server.on_cleanup.extend([trail.close, outbox.close])


def _warner(tokens: Tokens) -> Callable[[web.Application], Awaitable[None]]:
    async def warn(_: web.Application) -> None:
        """Say it in the log of a worker that serves; a command that only lists tables serves nobody."""
        missing = tokens.missing()
        if missing:
            _LOG.warning("the views behind a log-in stay closed: %s", "; ".join(missing))

    return warn
