"""A worker that does not answer is said, and old figures are never shown as how it stands."""

import signal

import pytest

from tests.dashboard.conftest import generating, new_stream

pytestmark = pytest.mark.slow


def test_a_worker_that_stops_answering_is_said_and_comes_back(embedded_broker, tmp_path, signed_in):
    stream = new_stream(embedded_broker, tmp_path)
    with stream.worker() as worker, generating(stream):
        worker.wait_ready()
        page = signed_in(worker.address, "analyst")
        assert not page.is_visible("#banner")
        worker.signal(signal.SIGSTOP)
        try:
            page.wait_for_selector("#banner:visible", timeout=60_000)
            page.wait_for_selector("#headline[data-state=unknown]", timeout=60_000)
            assert page.inner_text("#overview-title") == "Not known"
            page.wait_for_selector("#figures.stale", timeout=60_000)
            page.wait_for_selector("#panel-levels.stale >> text=/Stale: of .* old/", timeout=60_000)
        finally:
            worker.signal(signal.SIGCONT)
        page.wait_for_selector("#banner", state="hidden", timeout=90_000)
        page.wait_for_selector("#figures:not(.stale)")
