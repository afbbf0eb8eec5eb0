"""What an operator does with the dashboard."""

import json
import re
import time
import urllib.error
import uuid

import pytest

from pipeline.events.instants import parse_instant
from pipeline.runbook import GUIDANCE
from tests.dashboard.conftest import ask, figure, sign_in, until
from tests.stream.web import event

pytestmark = [pytest.mark.slow, pytest.mark.essential]

_VIEWS = ("", "verdicts", "users", "rules", "operation")


def test_figures_move_while_events_come(live, signed_in):
    page = signed_in(live, "analyst")
    before = figure(page, "Records read")
    until(page, lambda: figure(page, "Records read") > before)
    assert page.inner_text("#overview-title") in {"Keeping up", "Behind", "Idle", "Waiting"}
    assert page.inner_text("#panel-levels h2") == "Risk levels"
    until(page, lambda: "now" in page.get_attribute("#chart-events", "aria-label"))
    assert figure(page, "Records read") <= ask(live, "/stats/summary")["events"]


_STANDING = """async (looks) => {
    const { standing } = await import("/static/overview.js");
    const quiet = {
        total_lag: 0, events_per_second: 0, paused: false, pause: null,
        lag_open_transactions: {}, coverage: { missing: [] },
    };
    standing(quiet, 0);
    return looks.map(([seconds, figures]) => standing({ ...quiet, ...figures }, seconds * 1000).title);
}"""
_STILL = {"total_lag": 50}


@pytest.mark.parametrize(
    ("looks", "titles"),
    [
        (
            # The page shows an alarm only after 30 s without a judged record.
            [(0, _STILL), (25, _STILL), (31, _STILL)],
            ["Waiting", "Waiting", "Not moving"],
        ),
        (
            [(0, _STILL), (25, {**_STILL, "events_per_second": 100}), (31, _STILL), (62, _STILL)],
            ["Waiting", "Keeping up", "Waiting", "Not moving"],
        ),
        (
            # After a pause or another reason, the 30 s begin at the end of that reason.
            [(0, {**_STILL, "paused": True}), (60, {**_STILL, "paused": True}), (65, _STILL), (96, _STILL)],
            ["Paused", "Paused", "Waiting", "Not moving"],
        ),
        (
            [(0, {**_STILL, "lag_open_transactions": {"raw-events-0": 50}}), (60, _STILL)],
            ["Held up", "Waiting"],
        ),
    ],
)
def test_nothing_is_called_not_moving_before_it_stood_still_for_30_seconds(live, new_page, looks, titles):
    assert new_page(live).evaluate(_STANDING, looks) == titles


def test_a_zero_has_no_sign_and_a_small_share_is_no_zero(live, new_page):
    shown = new_page(live).evaluate(
        """async () => {
            const { whole, rate, fine, share, duration } = await import("/static/format.js");
            return [
                whole(-0), rate(-0), fine(-0.00001), share(-0), share(-0.00001), duration(-0), whole(-0.4),
                share(0.0004),
            ];
        }"""
    )
    assert shown == ["0", "0", "0", "0 %", "0 %", "0 s", "0", "< 0.1 %"]


def test_a_verdict_tells_its_reasons(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#panel-latest ol button >> nth=0")
    dialog = page.locator("#details")
    dialog.locator("summary", has_text="Raw JSON").click()
    verdict = json.loads(dialog.locator("pre").inner_text())
    text = dialog.inner_text()
    assert verdict["findings"]
    for finding in verdict["findings"]:
        assert finding["summary"] in text
        assert finding["rule_id"] in text
        for regulation in finding["regulations"]:
            assert regulation in text
        dialog.get_by_text(GUIDANCE[finding["rule_id"]].runbook).wait_for()
    assert verdict["verdict_id"] in text
    assert verdict["ruleset_version"] in text
    if verdict["source"] is not None:
        assert f"offset {verdict['source']['offset']:,}" in text
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    focused = page.evaluate("document.activeElement.closest('li')?.dataset.key")
    assert focused == verdict["verdict_id"]


def test_a_verdict_is_explained_by_the_events_behind_it(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#panel-latest ol button >> nth=0")
    dialog = page.locator("#details")
    # A verdict on a title or a device has no button.
    while not dialog.get_by_role("button", name="Explain").count():
        page.keyboard.press("Escape")
        page.wait_for_timeout(1000)
        page.click("#panel-latest ol button >> nth=0")
    dialog.get_by_role("button", name="Explain").click()
    explanation = dialog.locator(".explanation")
    explanation.get_by_text("Judging the record again gives the same bytes.").wait_for(timeout=60_000)
    assert explanation.locator("table tbody tr").count() > 0


def test_a_verdict_leads_to_its_user(live, signed_in):
    page = signed_in(live, "analyst")
    until(page, lambda: _user_verdicts(live))
    user = _user_verdicts(live)[0]["user_id"]
    page.goto(f"{live}/#/verdicts?user_id={user}")
    page.click("#panel-verdicts ol button >> nth=0")
    assert "pseudonym" not in page.inner_text("#details")
    page.click(f"#details a[href='#/users/{user}']")
    page.wait_for_selector(f"#panel-user h2:has-text('{user}')")
    assert not page.is_visible("#details")


def test_the_latest_verdicts_go_on_after_one_was_read(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#panel-latest ol button >> nth=0")
    page.keyboard.press("Escape")
    page.mouse.move(1, 1)
    focused = "document.activeElement.closest('li')?.dataset.key"
    read = page.evaluate(focused)
    first = page.locator("#panel-latest li").first
    until(page, lambda: first.get_attribute("data-key") != read)
    assert page.evaluate(focused) == read


def test_verdicts_are_filtered_by_level(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#tabs >> text=Verdicts")
    page.select_option("#verdict-filters [name=level]", "HIGH")
    page.click("#verdict-filters >> text=Show")
    page.wait_for_selector("#panel-verdicts li")
    levels = page.locator("#panel-verdicts li .level").evaluate_all(
        "all => all.map(one => one.dataset.level)"
    )
    assert set(levels) == {"HIGH"}


def test_a_user_is_looked_up(live, signed_in):
    page = signed_in(live, "analyst")
    until(page, lambda: _user_verdicts(live))
    user = _user_verdicts(live)[0]["user_id"]
    page.click("#tabs >> text=Users")
    page.fill("#user-search input", user)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#panel-user h2:has-text('{user}')")
    text = page.inner_text("#panel-user")
    for part in (
        "The hour that the rules see",
        "Networks",
        "Log-in failures",
        "no model is in force",
        "Opt-out",
        "Why",
    ):
        assert part in text
    page.click("#panel-user summary:has-text('Raw state')")
    page.wait_for_selector("#panel-user >> text=/changelog offset/")


def test_a_users_segment_and_privacy_requests_are_told(live, signed_in):
    page = signed_in(live, "analyst")
    until(page, lambda: _user_verdicts(live))
    user = _user_verdicts(live)[0]["user_id"]
    page.goto(f"{live}/#/users/{user}")
    page.click("#panel-user summary:has-text('Segment and trend')")
    page.wait_for_selector("#panel-user dt:text-is('Segment')")
    told = page.inner_text("#panel-user details:has-text('Segment and trend') dl")
    assert ask(live, f"/users/{user}/segment")["segment"].replace("_", " ") in told
    assert re.search(r"(rising|falling|steady|unknown): \d+ events in the newer half hour", told)
    page.click("#panel-user summary:has-text('Privacy requests')")
    requests = page.locator("#panel-user details:has(summary:text-is('Privacy requests'))")
    requests.get_by_text("None are known.").wait_for()
    ask(live, "/privacy/requests", "admin", _request(user, "opt_out"))
    until(page, lambda: _requests(live, user))
    page.reload()
    page.click("#panel-user summary:has-text('Privacy requests')")
    row = requests.locator("tbody tr").inner_text()
    assert "opt out" in row
    assert "US-CA" in row
    (deadline,) = _requests(live, user)[0]["deadlines"]
    assert deadline["law"] in row
    shown = requests.locator("tbody time").evaluate_all("all => all.map(one => Date.parse(one.dateTime))")
    assert parse_instant(deadline["due"]) in shown
    opt_out = page.locator("#panel-user dl.facts > div:has(dt:text-is('Opt-out'))")
    assert re.search(r"in force since", opt_out.inner_text())


def test_the_admin_queues_a_privacy_request_of_the_user_shown(live, signed_in):
    user = f"asks-{uuid.uuid4().hex}"
    ask(live, "/events", body=[event(user)])
    page = signed_in(live, "admin")
    until(page, lambda: _is_known(live, user))
    page.goto(f"{live}/#/users/{user}")
    page.wait_for_selector(f"#panel-user h2:has-text('{user}')")
    # Fill in the form by keyboard. The first time, answer the question with no.
    for answer in ("#question button[value=no]", "#question-yes"):
        page.focus("#request-form [name=type]")
        page.keyboard.type("delete")
        page.keyboard.press("Tab")
        page.keyboard.type("us-ca" if answer == "#question-yes" else "")
        page.keyboard.press("Enter")
        page.wait_for_selector("#question:visible")
        assert user in page.inner_text("#question-title")
        assert '"delete"' in page.inner_text("#question-title")
        page.focus(answer)
        page.keyboard.press("Enter")
        page.wait_for_selector("#question", state="hidden")
    page.wait_for_selector("#request-log >> text=/Applied: it is in the list/")
    (said,) = page.locator("#request-log li").all_inner_texts()
    (request,) = _requests(live, user)
    assert (request["type"], request["region"]) == ("delete", "US-CA")
    assert re.search(rf"request {request['request_id']}, partition \d+, offset \d+", said)
    rows = _rows(page.locator("#panel-user details:has(summary:text-is('Privacy requests'))"))
    assert [row[1:4] for row in rows] == [["delete", "US-CA", "yes"]]
    assert page.input_value("#request-form [name=type]") == ""


def test_a_privacy_request_of_somebody_who_is_not_known_is_queued_too(live, signed_in):
    user = f"unseen-{uuid.uuid4().hex}"
    page = signed_in(live, "admin")
    page.goto(f"{live}/#/users/{user}")
    page.wait_for_selector("#panel-user >> text=Nothing is known of a user")
    page.select_option("#request-form [name=type]", "opt_out")
    page.click("#request-form button")
    assert "Nothing is known of this user here." in page.inner_text("#question-text")
    page.click("#question-yes")
    page.wait_for_selector("#request-log >> text=/Applied: it is in the list/")
    assert page.is_visible("#panel-user tbody td:text-is('opt out')")
    assert [request["type"] for request in _requests(live, user)] == ["opt_out"]


def test_what_was_not_queued_is_said_and_what_may_have_been_counts_once(live, signed_in):
    user = f"twice-{uuid.uuid4().hex}"
    page = signed_in(live, "admin")
    page.goto(f"{live}/#/users/{user}")
    page.wait_for_selector("#panel-user >> text=Nothing is known of a user")

    def queue():
        page.select_option("#request-form [name=type]", "opt_out")
        page.click("#request-form button")
        page.click("#question-yes")

    clock = "Date.prototype.toISOString"
    page.evaluate(f"() => {{ window.right = {clock}; {clock} = () => '2999-01-01T00:00:00.000Z'; }}")
    queue()
    page.wait_for_selector("#request-log >> text=/^Not queued: .*timestamp lies .* ahead/")
    page.evaluate(f"() => {{ {clock} = window.right; }}")

    def lose_the_answer(route):
        route.fetch()
        route.abort()

    page.route("**/privacy/requests", lose_the_answer)
    queue()
    page.wait_for_selector("#request-log >> text=/^Perhaps not queued: The worker cannot be reached/")
    page.unroute("**/privacy/requests")
    queue()
    page.wait_for_selector("#request-log >> text=/Applied: it is in the list/")
    (request,) = _requests(live, user)
    assert request["request_id"] in page.inner_text("#request-log")


def test_an_address_without_a_user_asks_for_one_also_after_a_reload(live, signed_in):
    page = signed_in(live, "admin")
    page.goto(f"{live}/#/users")
    page.reload()
    page.wait_for_selector("#panel-user >> text=Type the id of a user, as it stands in a verdict.")
    assert not page.is_visible("#request-card")


def test_opened_parts_of_a_user_follow_what_comes(live, signed_in):
    user = f"asks-{uuid.uuid4().hex}"
    ask(live, "/events", body=[event(user) for _ in range(12)])
    page = signed_in(live, "analyst")
    until(page, lambda: _is_known(live, user))
    page.goto(f"{live}/#/users/{user}")
    segment, requests = (
        page.locator(f"#panel-user details:has(summary:text-is('{title}'))")
        for title in ("Segment and trend", "Privacy requests")
    )
    for part in (segment, requests):
        part.locator("summary").click()
    segment.get_by_text("viewer", exact=True).wait_for()
    segment.get_by_text("12 signs of playing within the hour.").wait_for()
    segment.get_by_text("rising: 12 events in the newer half hour, 0 in the older").wait_for()
    requests.get_by_text("None are known.").wait_for()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(live, "/privacy/requests", "analyst", _request(user, "delete"))
    ask(live, "/privacy/requests", "admin", _request(user, "delete"))
    # Nothing is reloaded or opened again.
    requests.locator("tbody tr", has_text="delete").wait_for()
    segment.get_by_text("restricted", exact=True).wait_for()
    ask(live, "/privacy/requests", "admin", _request(user, "reinstate"))
    requests.locator("tbody tr", has_text="reinstate").wait_for()
    segment.get_by_text("viewer", exact=True).wait_for()
    holds = {row[1]: row[3] for row in _rows(requests)}
    assert holds == {"delete": "no", "reinstate": "yes"}
    with_deadline = [row[1] for row in _rows(requests) if "CCPA" in row[4]]
    assert with_deadline == ["delete"]


def test_a_part_that_is_read_is_not_drawn_anew_while_nothing_changes(live, signed_in):
    user = f"still-{uuid.uuid4().hex}"
    ask(live, "/events", body=[event(user)])
    page = signed_in(live, "analyst")
    until(page, lambda: _is_known(live, user))
    page.goto(f"{live}/#/users/{user}")
    page.click("#panel-user summary:text-is('Segment and trend')")
    read = page.wait_for_selector("#panel-user dt:text-is('Segment')")
    with page.expect_response(lambda answer: answer.url.endswith("/segment")):
        pass
    page.wait_for_timeout(500)
    assert read.evaluate("one => one.isConnected")


def test_an_unknown_user_is_said_to_be_unknown(live, signed_in):
    page = signed_in(live, "analyst")
    page.goto(f"{live}/#/users/nobody%2Fat%20all")
    page.wait_for_selector("#panel-user >> text=Nothing is known of a user nobody/at all")


def opened(page):
    """What the dialog shows: its text, and the answer that it was drawn from."""
    dialog = page.locator("#details")
    dialog.locator("summary", has_text="Raw JSON").click()
    return dialog.inner_text(), json.loads(dialog.locator("pre").inner_text())


def test_a_title_a_region_and_a_device_tell_their_figures(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#panel-content ul button >> nth=0")
    text, title = opened(page)
    assert f"Title {title['content_id']}" in text
    assert f"{title['plays']:,}" in text
    assert f"({title['error_rate']['errors']:,} of {title['error_rate']['events']:,}; 95 % interval" in text
    for name in ("top_regions", "device_mix"):
        assert title[name]
        assert all(one["name"] in text for one in title[name])
    assert len(title["minutes"]) == page.locator("#details table.plain tbody tr").count() > 0
    page.keyboard.press("Escape")
    page.click("#panel-regions ul button >> nth=0")
    text, region = opened(page)
    assert f"Region {region['region']}" in text
    assert f"{region['plays']:,}" in text
    assert all(one["name"] in text for one in region["device_mix"])
    page.keyboard.press("Escape")
    user = _user_verdicts(live)[0]["user_id"]
    page.goto(f"{live}/#/users/{user}")
    known = ask(live, f"/users/{user}")["window"]["devices"][0]["name"]
    page.click(f"#panel-user button.link:text-is('{known}')")
    text, device = opened(page)
    assert f"Device {device['device_id']}" in text
    assert f"{device['events']:,}" in text
    assert ask(live, f"/stats/device/{device['device_id']}")["events"] >= device["events"] > 0


def test_the_whole_streams_watch_time_and_error_rate_are_shown(live, signed_in):
    page = signed_in(live, "analyst")
    until(page, lambda: "h" in page.inner_text("#figures > div:has-text('Watched') .value"))
    assert "%" in page.inner_text("#figures > div:has-text('Playback errors') .value")
    summary = ask(live, "/stats/summary")
    assert summary["play_time_seconds"] > 3_600
    assert 0 < summary["error_rate"] < 1


def test_a_token_that_is_no_longer_valid_leads_to_the_log_in_and_back(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#tabs >> text=Rules")
    page.wait_for_selector("#panel-ruleset tbody")
    spoilt = "const kept = JSON.parse(sessionStorage['ott-session']); kept.token += 'x';"
    page.evaluate(f"{spoilt} sessionStorage['ott-session'] = JSON.stringify(kept)")
    page.reload()
    page.wait_for_selector("input[name=username]:visible")
    assert "again" in page.inner_text("body")
    sign_in(page, "analyst")
    page.wait_for_selector("#panel-ruleset tbody:visible")


def test_the_admin_sees_who_read_what_and_the_analyst_does_not(live, signed_in):
    page = signed_in(live, "analyst")
    user = _user_verdicts(live)[0]["user_id"]
    page.goto(f"{live}/#/users/{user}")
    page.wait_for_selector(f"#panel-user h2:has-text('{user}')")
    page.click("#tabs >> text=Operation")
    assert not page.is_visible("#panel-audit")
    admin = signed_in(live, "admin")
    admin.click("#tabs >> text=Operation")
    admin.wait_for_selector(f"#panel-audit >> text={user}")
    assert "analyst" in admin.inner_text("#panel-audit")


def test_verdicts_go_on_page_by_page_while_new_ones_come(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#tabs >> text=Verdicts")
    page.wait_for_selector("#panel-verdicts li")
    page.wait_for_selector("#verdicts-more:visible")
    keys = "all => all.map(one => one.dataset.key)"
    first = page.locator("#panel-verdicts li").evaluate_all(keys)
    page.click("#verdicts-more")
    until(page, lambda: page.locator("#panel-verdicts li").count() > len(first))
    both = page.locator("#panel-verdicts li").evaluate_all(keys)
    assert both[: len(first)] == first
    assert len(set(both)) == len(both)


def test_the_admin_drains_and_pauses_and_steps(live, signed_in):
    page = signed_in(live, "admin")
    page.click("#tabs >> text=Operation")
    page.click("#process [data-action=drain]")
    page.wait_for_selector("#process-log >> text=/(D|Not d)rained/", timeout=90_000)
    assert re.search(r"Drained: [\d,]+ records worked off", page.inner_text("#process-log"))
    page.click("#process [data-action=pause]")
    page.click("#question-yes")
    page.wait_for_selector("#process-state >> text=Paused")
    page.click("#process [data-action=one]:not(:disabled)")
    page.wait_for_selector("#process-log >> text=/Judged one|No record waited/")
    page.click("#process [data-action=resume]:not(:disabled)")
    page.wait_for_selector("#process-state >> text=Consuming")


def test_the_rule_set_in_force_is_shown_and_a_new_one_is_checked_before_it_is_published(live, signed_in):
    page = signed_in(live, "admin")
    page.click("#tabs >> text=Rules")
    page.wait_for_selector("#panel-ruleset tbody >> text=account.multi_ip")
    assert ask(live, "/rules")["version"] in page.inner_text("#panel-ruleset")
    page.click("#panel-ruleset tbody tr:has-text('account.multi_ip') summary")
    page.get_by_text(GUIDANCE["account.multi_ip"].runbook).wait_for()
    assert page.is_disabled("#rules-publish")
    page.fill("#rules-text", '{"version": "trial", "rules": {"account.multi_ip": {"medium_over": -1}}}')
    page.click("text=Check without publishing")
    page.wait_for_selector("#rules-result .message[data-kind=error]")
    assert page.is_disabled("#rules-publish")
    page.fill("#rules-text", '{"version": "trial", "rules": {"account.multi_ip": {"mode": "shadow"}}}')
    page.click("text=Check without publishing")
    page.wait_for_selector("#rules-result .message[data-kind=good]")
    page.click("#rules-publish")
    page.click("#question-yes")
    page.wait_for_selector("#rules-result >> text=Published trial")
    page.wait_for_selector("#panel-ruleset code:text-is('trial')")
    assert page.get_by_text(GUIDANCE["account.multi_ip"].runbook).is_visible(), "drawing anew folded it"


def test_a_rule_set_is_tried_on_the_past_before_it_is_published(live, signed_in):
    page = signed_in(live)
    page.click("#tabs >> text=Rules")
    page.wait_for_selector("#panel-ruleset tbody tr")
    assert page.input_value("#backtest-from")
    page.fill("#rules-text", '{"version": "tried", "rules": {"account.multi_ip": {"medium_over": -1}}}')
    page.click("#backtest-start")
    page.get_by_text("the rule set is not valid: rules.account.multi_ip").wait_for()
    page.fill("#rules-text", '{"version": "tried", "rules": {"account.multi_ip": {"mode": "off"}}}')
    page.click("#backtest-start")
    page.click("#backtest-cancel")
    page.get_by_text("The backtest was cancelled.").wait_for()
    assert not page.is_visible("#backtest-cancel")
    page.click("#backtest-start")
    page.wait_for_selector("#backtest-result .message", timeout=120_000)
    text = page.inner_text("#backtest-result")
    assert "Rule set tried on" in text
    assert "By rule" in text
    assert ask(live, "/rules")["version"] != "tried"


def test_the_anomaly_model_in_force_is_named(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#tabs >> text=Rules")
    page.wait_for_selector("#panel-model >> text=No model is in force, so nobody is scored.")
    at = "2026-03-01T12:00:00.000Z"
    given = ask(live, "/models") | {
        "newest": {"version": "m2", "by": "anna", "published_at": at},
        "in_force": {"m1": [0, 2], "m2": [1]},
        "refused": {"reason": "its checksum does not fit", "published_at": at},
    }
    page.route("**/models", lambda route: route.fulfill(json=given))
    page.wait_for_selector("#panel-model >> text=by anna")
    text = page.inner_text("#panel-model")
    assert "Model m2" in text
    assert "Partitions 0, 2 still by m1." in text
    assert "its checksum does not fit" in text


def test_the_drift_of_the_anomaly_model_names_what_has_moved_first(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#tabs >> text=Rules")
    page.wait_for_selector("#panel-drift >> text=/No model has scored|minutes counted/")
    # A day of drift does not come about within a test, so the page is given one.
    moved = {"events": 0.02, "titles": 0.4, "score": 0.15}
    days = [
        {"date": "2026-03-02", "minutes": 40, "psi": None},
        {"date": "2026-03-01", "minutes": 5_000, "psi": moved},
    ]
    given = ask(live, "/drift") | {"model": "m1", "days": days, "other_models": 1}
    page.route("**/drift", lambda route: route.fulfill(json=given))
    page.wait_for_selector("#panel-drift >> text=1 has moved")
    rows = [row.split() for row in page.locator("#panel-drift tbody tr").all_inner_texts()]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("titles", "0.4", "moved"),
        ("score", "0.15", "moving"),
        ("events", "0.02", "stable"),
    ]
    assert "Without 1 of the workers" in page.inner_text("#panel-drift .note")


def test_an_analyst_is_offered_no_controls(live, signed_in):
    page = signed_in(live, "analyst")
    page.click("#tabs >> text=Operation")
    page.wait_for_selector("#process-hint >> text=admin")
    assert not page.is_visible("#process-buttons")
    assert not page.is_visible("#panel-audit")
    page.goto(f"{live}/#/users/{_user_verdicts(live)[0]['user_id']}")
    page.wait_for_selector("#panel-user h2 >> nth=0")
    assert not page.is_visible("#request-card")


def test_a_wrong_password_is_said(live, new_page):
    page = new_page(live)
    sign_in(page, "analyst", "wrong")
    page.wait_for_selector("#login-message:has-text('password is wrong')")
    assert page.evaluate("document.activeElement.name") == "password"


def test_a_token_that_is_not_good_leads_to_the_login(live, signed_in):
    page = signed_in(live, "analyst")
    page.evaluate(
        "sessionStorage['ott-session'] = JSON.stringify({name: 'analyst', token: 'x', role: 'analyst'})"
    )
    page.reload()
    page.wait_for_selector("#login-message:has-text('signed out')")
    assert page.is_visible("#view-login")
    assert page.evaluate("sessionStorage.getItem('ott-session')") is None


def test_the_token_is_never_kept_longer_than_the_tab(live, signed_in):
    page = signed_in(live, "analyst")
    token = json.loads(page.evaluate("sessionStorage['ott-session']"))["token"]
    assert token not in page.evaluate("JSON.stringify(localStorage)")
    assert token not in page.url
    page.click("#logout")
    page.wait_for_selector("#view-login:visible")
    assert token not in page.evaluate("JSON.stringify(sessionStorage)")


def test_everything_is_reached_by_keyboard(live, new_page):
    page = new_page(live)
    page.wait_for_function("document.activeElement.name === 'username'")
    page.keyboard.type("analyst")
    page.keyboard.press("Tab")
    page.keyboard.type("analyst123")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel-latest li")
    page.reload()
    page.wait_for_selector("#panel-latest li")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("Boolean(document.activeElement.closest('#panel-latest li'))"):
            break
    first = page.evaluate("document.activeElement.closest('li').dataset.key")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('li').dataset.key") != first
    page.keyboard.press("Enter")
    assert page.is_visible("#details")
    page.keyboard.press("Escape")
    assert not page.is_visible("#details")


def test_dark_follows_the_system_and_a_choice_is_remembered(live, new_page):
    page = new_page(live, color_scheme="dark")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    page.click("#theme")
    assert page.evaluate(theme) == "light"
    page.reload()
    assert page.evaluate(theme) == "light"


def test_no_view_scrolls_sideways_on_a_phone(live, signed_in):
    page = signed_in(live, "admin", width=360, height=740)
    long = uuid.uuid4().hex * 7
    ask(live, "/events", body=[event(long, device_id=long, region="DE", has_consent=False)])
    until(page, lambda: _is_known(live, long))
    for view in (*_VIEWS, f"users/{long}", f"users/{_user_verdicts(live)[0]['user_id']}"):
        page.goto(f"{live}/#/{view}")
        page.wait_for_timeout(1500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
    page.goto(f"{live}/#/")
    page.click("#panel-latest ol button >> nth=0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_is_asked_while_the_tab_is_hidden(live, signed_in):
    page = signed_in(live, "analyst")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked.clear()
    page.wait_for_timeout(7000)
    assert asked == []
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    until(page, lambda: asked)


def _user_verdicts(address):
    found = ask(address, "/compliance/events?limit=50")["verdicts"]
    return [verdict for verdict in found if verdict["subject"]["type"] == "user"]


def _requests(address, user):
    return ask(address, f"/privacy/requests/{user}")["requests"]


def _is_known(address, user):
    try:
        return ask(address, f"/users/{user}")["window"]
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False


def _rows(part):
    """The texts of a table's cells, row by row."""
    return part.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )


def _request(user, kind):
    return {
        "schema": "privacy-request/1",
        "request_id": uuid.uuid4().hex,
        "user_id": user,
        "type": kind,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": "US-CA",
    }
