"""A worker that does not answer is said, and old figures are never shown as how it stands."""

import secrets
import signal

import pytest

from tests.dashboard.conftest import ask, generating, new_stream, play, until

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


def test_what_is_missing_of_a_killed_worker_is_said_until_another_has_it(
    embedded_broker, tmp_path, signed_in
):
    stream = new_stream(embedded_broker, tmp_path)
    stream.variables["OTT_JWT_SECRET"] = secrets.token_hex(32)
    with stream.worker("a") as worker, generating(stream), stream.worker("b") as other:
        worker.wait_ready()
        other.wait_ready()
        page = signed_in(worker.address, "analyst")
        coverage = page.locator("#figures > div", has_text="Coverage")
        coverage.get_by_text("2 workers").wait_for(timeout=90_000)
        page.wait_for_selector("#headline:not([data-state=partly]):not([data-state=unknown])")
        # Pages ask every few seconds, and the group takes its time to notice.
        other.kill()
        page.wait_for_selector("#headline[data-state=partly]", timeout=60_000)
        assert "missing" in page.inner_text("#overview-why")
        answered, partitions = coverage.locator(".value").inner_text().split("/")
        assert int(answered) < int(partitions)
        coverage.get_by_text("1 worker", exact=False).wait_for(timeout=90_000)
        page.wait_for_selector("#headline:not([data-state=partly]):not([data-state=unknown])", timeout=90_000)
        answered, partitions = coverage.locator(".value").inner_text().split("/")
        assert int(answered) == int(partitions)


def test_a_user_is_whole_where_ids_are_shown_as_pseudonyms(embedded_broker, tmp_path, signed_in):
    stream = new_stream(embedded_broker, tmp_path)
    with stream.worker(OTT_PSEUDONYM_KEY=secrets.token_hex(16)) as worker:
        worker.wait_ready()
        ask(worker.address, "/events", body=[play("somebody") for _ in range(3)])
        page = signed_in(worker.address, "analyst")
        until(page, lambda: ask(worker.address, "/stats/summary")["judged"] == 3)
        page.goto(f"{worker.address}/#/users/somebody")
        page.wait_for_selector(
            f"#panel-user h2:has-text('{ask(worker.address, '/users/somebody')['user_id']}')"
        )
        page.click("#panel-user summary:text-is('Segment and trend')")
        page.wait_for_selector("#panel-user >> text=3 signs of playing within the hour.")
        page.click("#panel-user summary:text-is('Raw state in the tables')")
        page.wait_for_selector("#panel-user >> text=/changelog offset/")
