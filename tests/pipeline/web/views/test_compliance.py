"""The views of verdicts, on an index that was filled without a broker."""

import json

import msgspec
import pytest

from pipeline.alerting.alerts import SeenVerdict, encode_alert, opened
from pipeline.evaluation.pseudonyms import pseudonymiser
from pipeline.settings.schema import load_settings
from pipeline.verdict_index.index import VerdictIndex
from pipeline.verdict_index.queries import IndexQueries
from pipeline.verdict_index.store import FILE_NAME, connect, open_store
from pipeline.verdict_index.writer import IndexWriter
from pipeline.web.views import alerts, compliance
from tests.pipeline.verdict_index.verdicts import finding, published, random_verdicts, verdict
from tests.pipeline.web.serving import serving
from tests.pipeline.web.test_guards import problem_of

show = pseudonymiser(b"a key of the tests")


class Served:
    """Asks as the analyst does."""

    def __init__(self, client, headers):
        self.client, self.headers = client, headers

    async def get(self, path, status=200):
        response = await self.client.get(path, headers=self.headers)
        assert response.status == status, await response.text()
        return await response.json() if status == 200 else await problem_of(response)


@pytest.fixture
def records():
    return random_verdicts(100)


@pytest.fixture
async def served(tmp_path, tokens, bearer, records):
    index = VerdictIndex(tmp_path, load_settings(environ={"OTT_INDEXED_VERDICTS": "1000"}, cwd=tmp_path))
    writer = IndexWriter(open_store(tmp_path / FILE_NAME, ("flagged-events", "risk-alerts")), 1_000)
    writer.add(records, {})
    index._queries = index._look_ups = IndexQueries(connect(tmp_path / FILE_NAME))
    views = {**compliance.compliance_views(index, show), **alerts.alert_views(index)}
    async with serving([*compliance.ROUTES, *alerts.ROUTES], views, tokens) as client:
        served = Served(client, bearer("analyst"))
        served.writer = writer
        yield served
    index._queries.close()
    writer.close()


async def test_pages_lead_through_all_verdicts_newest_first(served, records):
    found, cursor = [], ""
    while cursor is not None:
        page = await served.get(f"/compliance/events?limit=30{cursor and f'&cursor={cursor}'}")
        found += [content["verdict_id"] for content in page["verdicts"]]
        cursor = page["next_cursor"]
        served.writer.add([published(verdict(10_000 + len(found)), 10**6 + len(found))], {})
    newest_first = sorted(records, key=lambda record: record.position, reverse=True)
    assert found == [json.loads(record.value)["verdict_id"] for record in newest_first]
    assert page["index"]["verdicts"] == 103
    assert page["index"]["since"].startswith("1970-01-01T00:00:01")


async def test_a_region_is_taken_in_any_form(served):
    (lower, upper) = [await served.get(f"/compliance/events?region={form}") for form in ("us-ca", "US-CA")]
    assert lower | {"as_of": upper["as_of"]} == upper
    assert lower["verdicts"]


@pytest.mark.parametrize("since", ["2026-01-01T13:00:00%2B01:00", "2026-01-01T12:00:00Z"])
async def test_times_are_instants_whatever_their_form(served, since):
    page = await served.get(f"/compliance/events?limit=500&since={since}")
    times = [content["event_time"] for content in page["verdicts"]]
    assert times
    assert min(times) >= "2026-01-01T12:00:00.000Z"


async def test_a_user_is_found_by_id_and_by_pseudonym(served):
    served.writer.add([published(verdict(777, show("someone")), 10**6)], {})
    for name in ("someone", show("someone")):
        page = await served.get(f"/compliance/events?user_id={name}")
        assert [content["event_id"] for content in page["verdicts"]] == ["e777"], name


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=zzz", "cursor"),
        ("region=Germany", "region"),
        ("level=SEVERE", "level"),
        ("since=now", "since"),
    ],
)
async def test_what_cannot_be_asked_is_named(served, query, field):
    problem = await served.get(f"/compliance/events?{query}", status=400)
    assert [error.path for error in problem.errors] == [field]


async def test_summary_and_regions_count_every_indexed_verdict(served):
    summary = compliance.ComplianceSummary.model_validate(await served.get("/compliance/summary"))
    assert summary.flagged == summary.index.verdicts == sum(summary.by_level.values()) == 100
    assert summary.by_dimension["account"] == sum(summary.dimension_levels["account"].values())
    regions = compliance.RegionRisks.model_validate(await served.get("/compliance/regions"))
    assert sum(risk.flagged for risk in regions.regions) == 100
    groups = {risk.region: risk.flagged for risk in regions.groups}
    assert groups["EEA"] + groups["non-EEA"] == 100
    assert groups["US-CA"] + groups["rest of US"] == sum(
        risk.flagged for risk in regions.regions if risk.region[:2] == "US"
    )


async def test_alerts_are_those_of_the_index(served):
    given = verdict(1, "u1", findings=[finding("account.multi_ip", "HIGH")])
    seen = msgspec.convert(given, SeenVerdict)
    alert = opened(seen, seen.findings[0], 5)
    served.writer.fold([(b"u1/account.multi_ip", encode_alert(alert, "opened"))], {})
    answer = alerts.Alerts.model_validate(await served.get("/alerts?limit=1"))
    assert (answer.open, answer.closed) == (1, 0)
    assert answer.alerts[0].rule_id == "account.multi_ip"


async def test_an_index_that_is_not_there_is_told(web, bearer):
    for path in ("/compliance/events", "/compliance/summary", "/compliance/regions", "/alerts"):
        response = await web.client.get(path, headers=bearer("analyst"))
        assert response.status == 503
        assert "verdict index" in (await problem_of(response)).detail
