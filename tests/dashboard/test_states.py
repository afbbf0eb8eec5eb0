"""A worker that does not answer is said, and old figures are never shown as how it stands."""

import secrets
import signal

import pytest

from tests.dashboard.conftest import ask, figure, generating, new_stream, until
from tests.stream.web import SECRET, Web, event

pytestmark = [pytest.mark.slow, pytest.mark.essential]

NO_FIGURE = "\N{EN DASH}"
_WHOLE = "#headline:not([data-state=partly]):not([data-state=unknown]):not([data-state=loading])"


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


@pytest.fixture
def two_workers(embedded_broker, tmp_path):
    """Two workers that share the partitions of a stream whose dead members are missed for 15 s."""
    stream = new_stream(embedded_broker, tmp_path)
    stream.variables["OTT_JWT_SECRET"] = SECRET
    stream.variables["OTT_SESSION_TIMEOUT_MS"] = "15000"
    with stream.worker("a") as worker, stream.worker("b") as other:
        worker.wait_ready()
        other.wait_ready()
        Web([worker, other]).wait_covered()
        yield stream, worker, other


def test_what_is_missing_of_a_killed_worker_is_said_until_another_has_it(two_workers, signed_in):
    stream, worker, other = two_workers
    with generating(stream):
        page = signed_in(worker.address, "admin")
        page.wait_for_selector("#figures :text('2 workers')")
        page.wait_for_selector(_WHOLE)
        until(page, lambda: figure(page, "Records read") > 500)
        operation = signed_in(worker.address, "admin")
        operation.click("#tabs >> text=Operation")
        operation.wait_for_selector("#process-state >> text=Consuming on 2 workers")
        assert "Without" not in operation.inner_text("#process-state")
        before = ask(worker.address, "/stats/summary")["events"]
        other.kill()
        # At one look: the headline, the figure and the panels say which partitions their sums lack.
        page.wait_for_function(
            """() => {
                const text = (selector) => document.querySelector(selector).innerText;
                const lacking = /^Without partitions? ([0-9, ]+)$/.exec(text("#panel-levels .note"))?.[1];
                const [, answered, total] = /([0-9]+) . ([0-9]+)/.exec(text("#figures > div:last-child .value"));
                return document.querySelector("#headline").dataset.state === "partly"
                    && lacking
                    && text("#overview-why").includes(`${answered} of ${total} partitions answer (${lacking} missing)`)
                    && lacking.split(", ").length === total - answered
                    && ["flow", "content"].every((name) => text(`#panel-${name} .note`).includes(lacking));
            }""",
            timeout=60_000,
        )
        assert "in the partitions that answer" in page.inner_text("#figures > div:has-text('Waiting')")
        operation.wait_for_selector("#process-state >> text=/Consuming on 1 worker.*Without partition/")
        operation.click("#process [data-action=drain]")
        operation.wait_for_selector("#process-log >> text=/Not drained.*Without partition/")
        page.wait_for_selector(_WHOLE, timeout=90_000)
        page.wait_for_selector("#figures :text('1 worker')")
        coverage = page.locator("#figures > div", has_text="Coverage").locator(".value").inner_text()
        assert coverage == f"{stream.partitions} / {stream.partitions}"
        assert "Without" not in page.inner_text("#view-overview")
        operation.wait_for_selector("#process-state >> text=/Consuming on 1 worker[^W]*$/")
        assert figure(page, "Records read") >= before
        # The sums fell and rose with the partitions: no rate is made of that.
        page.click("#panel-flow summary")
        rates = page.locator("#flow-table tbody tr").evaluate_all(
            "rows => rows.map(row => row.cells[1].innerText)"
        )
        assert rates.count(NO_FIGURE) >= 2


def test_what_is_missing_is_said_while_paused_too(two_workers, signed_in):
    _, worker, other = two_workers
    ask(worker.address, "/process/pause", "admin", {})
    page = signed_in(worker.address, "analyst")
    page.wait_for_selector("#overview-title:text-is('Paused')")
    assert "Without" not in page.inner_text("#overview-why")
    other.kill()
    page.wait_for_selector(
        "#overview-why:text-matches('Consuming is paused .*; .* Without partitions? [0-9, ]+[.]')"
    )
    assert page.inner_text("#overview-title") == "Paused"
    page.wait_for_selector("#overview-why:not(:has-text('Without'))", timeout=90_000)
    assert page.inner_text("#overview-title") == "Paused"


def test_a_user_of_a_killed_worker_is_not_shown_as_current_until_another_has_it(two_workers, signed_in):
    _, worker, other = two_workers
    web = Web([worker, other])
    users = [f"somebody-{number}" for number in range(12)]
    web.post("/events", 202, name=None, body=[event(user) for user in users])
    web.post("/process/drain")
    owners = {user: web.get(f"/tables/users-v1/u{user}")["owner"] for user in users}
    of_other, unseen = [user for user, owner in owners.items() if owner == other.address][:2]
    of_this = next(user for user, owner in owners.items() if owner == worker.address)
    page = signed_in(worker.address, "analyst")
    page.goto(f"{worker.address}/#/users/{of_other}")
    page.click("#panel-user summary:text-is('Segment and trend')")
    page.wait_for_selector("#panel-user dd:text-is('viewer')")
    other.kill()
    moved = "Not available now: partitions are being moved or recovered."
    page.wait_for_selector(f"#panel-user > header .note:has-text('{moved} Figures of')")
    page.wait_for_selector(f"#panel-user details .note:has-text('{moved} This is of')")
    assert page.is_visible("#panel-user dd:text-is('viewer')")
    page.goto(f"{worker.address}/#/users/{of_this}")
    page.wait_for_selector(f"#panel-user h2:has-text('{of_this}')")
    page.goto(f"{worker.address}/#/users/{unseen}")
    page.wait_for_selector(f"#panel-user > .state:has-text('{moved}')")
    assert not page.is_visible("#panel-user h2")
    # Nothing is reloaded: the page asks on.
    page.wait_for_selector(f"#panel-user h2:has-text('{unseen}')", timeout=90_000)
    page.goto(f"{worker.address}/#/users/{of_other}")
    page.click("#panel-user summary:text-is('Segment and trend')")
    page.wait_for_selector("#panel-user dd:text-is('viewer')")
    assert not page.is_visible("#panel-user details .note")
    assert page.inner_text("#panel-user > header .note") == ""


@pytest.fixture(scope="module")
def pseudonymised(embedded_broker, tmp_path_factory):
    """The address of a worker that shows ids as pseudonyms; it has judged somebody's events, and flagged them."""
    stream = new_stream(embedded_broker, tmp_path_factory.mktemp("pseudonyms"))
    with stream.worker(OTT_PSEUDONYM_KEY=secrets.token_hex(16)) as worker:
        worker.wait_ready()
        web = Web([worker])
        web.post("/events", 202, body=[event("somebody", region="DE", has_consent=False) for _ in range(3)])
        web.wait_for("/compliance/events?user_id=somebody", lambda page: len(page["verdicts"]) == 3)
        web.wait_for("/alerts", lambda page: page["alerts"])
        yield worker.address


def test_a_user_is_whole_where_ids_are_shown_as_pseudonyms(pseudonymised, signed_in):
    page = signed_in(pseudonymised, "analyst")
    page.goto(f"{pseudonymised}/#/users/somebody")
    pseudonym = ask(pseudonymised, "/users/somebody")["user_id"]
    page.wait_for_selector(f"#panel-user h2:has-text('{pseudonym}')")
    page.wait_for_selector("#panel-user header >> text=the pseudonym of somebody")
    page.click("#panel-user summary:text-is('Segment and trend')")
    page.wait_for_selector("#panel-user >> text=3 signs of playing within the hour.")
    page.click("#panel-user summary:text-is('Raw state in the tables')")
    page.wait_for_selector("#panel-user >> text=/changelog offset/")


def test_a_pseudonym_leads_to_verdicts_and_says_why_to_nobody(pseudonymised, signed_in):
    pseudonym = ask(pseudonymised, "/users/somebody")["user_id"]
    to_users, to_verdicts = f"a[href='#/users/{pseudonym}']", f"a[href='#/verdicts?user_id={pseudonym}']"
    page = signed_in(pseudonymised, "analyst", width=360, height=740)
    page.wait_for_selector(f"#panel-alerts {to_verdicts}")
    assert "pseudonyms" in page.inner_text("#panel-alerts > .body > p")
    page.click("#panel-latest ol button >> nth=0")
    told = page.inner_text("#details")
    assert "ask by the id that the clients send" in told
    assert pseudonym in told
    assert ask(pseudonymised, "/users/somebody")["window"]["devices"][0]["name"] in told
    assert page.locator(to_users).count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for _ in range(2):  # also where the verdicts of that user are shown already
        page.click(f"#details {to_verdicts}")
        page.wait_for_selector("#details", state="hidden")
        page.wait_for_selector("#panel-verdicts li >> nth=2")
        assert page.input_value("#verdict-filters [name=user_id]") == pseudonym
        page.click("#panel-verdicts ol button >> nth=0")
    page.goto(f"{pseudonymised}/#/users/{pseudonym}")
    page.wait_for_selector("#panel-user >> text=/Nothing is known .* ask by the id that the clients send/")
    page.goto(f"{pseudonymised}/#/users/somebody")
    page.wait_for_selector("#panel-user section:has(h2:text-is('Devices')) >> text=pseudonyms")
    assert page.locator("#panel-user section:has(h2:text-is('Devices')) button").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_privacy_request_names_the_id_that_was_looked_up_not_its_pseudonym(pseudonymised, signed_in):
    page = signed_in(pseudonymised, "admin")
    page.goto(f"{pseudonymised}/#/users/somebody")
    page.wait_for_selector("#panel-user header >> text=the pseudonym of somebody")
    page.select_option("#request-form [name=type]", "consent_withdrawn")
    page.click("#request-form button")
    assert "somebody" in page.inner_text("#question-title")
    with page.expect_request("**/privacy/requests") as sent:
        page.click("#question-yes")
    assert sent.value.post_data_json["user_id"] == "somebody"
    page.wait_for_selector("#request-log >> text=/Applied: it is in the list/")
    (request,) = ask(pseudonymised, "/privacy/requests/somebody")["requests"]
    assert request["request_id"] == sent.value.post_data_json["request_id"]
