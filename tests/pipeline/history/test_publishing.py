"""To which topics a replay may publish."""

import asyncio

import pytest

from pipeline.errors import UsageError
from pipeline.history.publishing import require_target
from pipeline.settings.schema import load_settings


@pytest.mark.parametrize("topic", ["flagged-events", "ott-risk-users-v1-changelog", "ott-risk-origin-key"])
def test_a_topic_of_the_application_is_refused(topic: str) -> None:
    with pytest.raises(UsageError, match="is a topic of the running application"):
        asyncio.run(require_target(load_settings(environ={}), topic, live=False))
