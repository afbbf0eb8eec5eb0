"""The worker's web server without its stream: real HTTP, no broker."""

from types import SimpleNamespace

import pytest
from aiohttp.test_utils import TestClient, TestServer

from pipeline.app import Cluster
from pipeline.coordination.revocations import Revocations
from pipeline.delivery.kill_points import pass_by
from pipeline.kafka.topics import TOPICS
from pipeline.settings.schema import load_settings
from pipeline.web.access.accounts import Accounts
from pipeline.web.access.tokens import Tokens
from pipeline.worker import build

SECRET = "a secret of the tests, 32 characters and more"


@pytest.fixture(autouse=True)
def _nothing_was_revoked(monkeypatch):
    """No broker could tell which tokens were revoked, and without knowing it a worker believes none."""
    monkeypatch.setattr(Revocations, "complete", property(lambda _: True, lambda *_: None), raising=False)


@pytest.fixture
def tokens():
    """The tokens of the demo's users."""
    return Tokens(SECRET, Accounts(None, demo=True))


@pytest.fixture
async def web(tmp_path, tokens):
    """A client of the worker's web server: nothing is assigned to it, and no broker answers."""
    variables = {
        "OTT_DEMO": "true",
        "OTT_JWT_SECRET": SECRET,
        "OTT_STATE_DIR": str(tmp_path / "state"),
        "OTT_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    settings = load_settings(environ=variables, cwd=tmp_path)
    cluster = Cluster({topic.name: 4 for topic in TOPICS}, transactional=False, origin_key=bytes(32))
    app = build(settings, cluster, web_port=1, reached=pass_by)
    async with TestClient(TestServer(app.web.web_app)) as client:
        yield SimpleNamespace(client=client, app=app, tokens=tokens)


@pytest.fixture
def bearer(tokens):
    """The Authorization header of a user of the demo."""

    def header(name):
        return {"Authorization": f"Bearer {tokens.issue(name, name)}"}

    return header
