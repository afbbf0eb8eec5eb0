"""The views of the rule set: what is shown can be sent back, what is wrong is named, a dry run publishes nothing."""

import pytest

from pipeline.delivery.partitioner import Partitioner
from pipeline.evaluation.rule_book import RuleBook
from pipeline.rules.ruleset import built_in, read_ruleset
from pipeline.web.http.outbox import Outbox
from pipeline.web.views.rules import ROUTES, RuleSetView, described, differences, rule_views
from tests.pipeline.web.serving import serving
from tests.pipeline.web.test_guards import problem_of


def test_what_is_shown_is_a_document_of_the_same_rule_set():
    given = read_ruleset(
        {
            "version": "v1",
            "rules": {
                "account.multi_ip": {"mode": "shadow", "high_over": 20},
                "content.error_rate": {"mode": "off"},
            },
        }
    )
    assert read_ruleset({"version": "v1", "rules": described(given)}) == given
    assert read_ruleset({"version": "built-in/1", "rules": described(built_in())}) == built_in()


def test_differences_are_named_one_by_one():
    given = read_ruleset(
        {"version": "v1", "rules": {"account.multi_ip": {"mode": "shadow", "medium_over": 6}}}
    )
    assert list(differences(built_in(), given)) == [
        "version: built-in/1 -> v1",
        "account.multi_ip.mode: active -> shadow",
        "account.multi_ip.medium_over: 5 -> 6",
    ]
    assert list(differences(given, given)) == []


@pytest.fixture
async def rules(tokens, bearer):
    """Sends rule sets as the admin does; no broker answers."""
    outbox = Outbox({"bootstrap_servers": "127.0.0.1:1"}, {"rule-config": Partitioner(1)})
    views = rule_views(None, None, RuleBook(built_in()), outbox, "rule-config", None)
    async with serving(ROUTES, views, tokens) as client:

        async def put(document, query=""):
            return await client.put(f"/rules{query}", json=document, headers=bearer("admin"))

        yield put
    await outbox.close()


async def test_the_rule_set_is_shown_with_where_it_came_from(web, bearer):
    response = await web.client.get("/rules", headers=bearer("analyst"))
    assert response.status == 200
    view = RuleSetView.model_validate(await response.json())
    assert (view.version, view.source, view.published_at) == ("built-in/1", "settings", None)
    assert view.rules == described(built_in())
    assert view.coverage.answered == 0
    assert view.guidance.keys() == view.rules.keys()
    assert view.guidance["privacy.minor"].references


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"version": "v", "rules": {"account.none": {}}}, "rules.account.none"),
        (
            {"version": "v", "rules": {"account.multi_ip": {"medium_over": "x"}}},
            "rules.account.multi_ip.medium_over",
        ),
        ({"version": "v", "rules": {"account.multi_ip": {"mode": "on"}}}, "rules.account.multi_ip.mode"),
        ({"version": ""}, ""),
        ({"rules": {}}, "version"),
        ({"version": "v", "more": 1}, "more"),
    ],
)
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_what_is_wrong_is_named_and_nothing_is_published(rules, document, path, query):
    response = await rules(document, query)
    assert response.status == 400
    assert [error.path for error in (await problem_of(response)).errors] == [path]


async def test_a_dry_run_says_what_would_change_without_a_broker(rules):
    document = {"version": "v1", "rules": {"account.multi_ip": {"medium_over": 6}}}
    response = await rules(document, "?dry_run=true")
    assert response.status == 200
    assert await response.json() == {
        "version": "v1",
        "dry_run": True,
        "changes": ["version: built-in/1 -> v1", "account.multi_ip.medium_over: 5 -> 6"],
    }


async def test_without_an_acknowledgement_it_is_not_told_as_published(rules):
    response = await rules({"version": "v1"})
    assert response.status == 503


async def test_a_version_that_is_taken_is_a_conflict(rules):
    document = {"version": "built-in/1", "rules": {"account.multi_ip": {"medium_over": 6}}}
    response = await rules(document, "?dry_run=true")
    assert response.status == 409


async def test_what_judges_already_is_not_published_again(rules):
    response = await rules({"version": "built-in/1"})
    assert response.status == 200
    assert (await response.json())["changes"] == []
