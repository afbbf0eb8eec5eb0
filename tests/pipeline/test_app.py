"""What a worker asks of the cluster before it starts."""

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, TopicAuthorizationFailedError

from pipeline import app
from pipeline.errors import MissingError
from pipeline.settings.schema import load_settings


@pytest.fixture
def asked(monkeypatch):
    """Errors that come first, before the question is answered; how often it was asked."""
    errors = []
    monkeypatch.setattr(app, "_RETRY_S", 0.01)

    async def ask(*_):
        if errors:
            raise MissingError("Kafka at x: no") from errors.pop(0)
        return "the cluster"

    monkeypatch.setattr(app, "_ask_once", ask)
    return errors


async def test_a_question_that_a_restarting_broker_cut_off_is_asked_again(asked, tmp_path):
    wrapped = app.BrokerMissingError("does not say")
    wrapped.__cause__ = KafkaConnectionError("Connection closed")
    asked += [KafkaConnectionError("Connection closed"), KafkaTimeoutError(), wrapped]
    assert await app.ask_cluster(load_settings(environ={}, cwd=tmp_path), []) == "the cluster"


@pytest.mark.parametrize("cause", [TopicAuthorizationFailedError(), None])
async def test_a_refusal_is_told_at_once(asked, tmp_path, cause):
    asked += [cause, KafkaConnectionError()]
    with pytest.raises(MissingError):
        await app.ask_cluster(load_settings(environ={}, cwd=tmp_path), [])
    assert len(asked) == 1
