"""The view and the figures of drift: the days of all workers that ask one model, added up."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.anomaly.drift import DAY_MINUTES, WATCHED, DriftWatch
from pipeline.anomaly.shipped import shipped_model
from pipeline.web.cluster.peers import Gathered
from pipeline.web.http.answers import Coverage
from pipeline.web.views.drift import ROUTES, Drift, drift_views
from pipeline.web.views.metrics import drift_figures
from tests.pipeline.web.serving import NoPeers, serving

MARCH_1 = 20_513
"""2026-03-01 in days since 1970."""


@pytest.fixture(scope="module")
def model():
    return shipped_model()


def watched(model, minutes, day=MARCH_1, shift=0.0):
    """A watch that counted so many scored minutes of a day, around the medians of training."""
    rows = np.tile([usual.median for usual in model.usual], (minutes, 1)).astype(np.float32) + shift
    watch = DriftWatch()
    watch.observe(model, rows, model.forest.paths(rows), np.full(minutes, day * DAY_MINUTES))
    return watch


class OtherWorkers(NoPeers):
    """Workers that say of themselves what they would say over HTTP."""

    def __init__(self, *parts):
        self.parts = parts

    async def gather(self, _call, _table, own, own_worker):
        return Gathered(own, [*self.parts, own_worker], Coverage(partitions=4, answered=4, missing=[]))


async def answered(tokens, bearer, peers, watch):
    views = drift_views(SimpleNamespace(owned=lambda: [(0, None)]), peers, watch)
    async with serving(ROUTES, views, tokens, peers) as client:
        response = await client.get("/drift", headers=bearer("analyst"))
        assert response.status == 200
        return Drift.model_validate(await response.json())


def part_of(watch):
    return {
        "model": watch.model.version,
        "days": [[day.day, day.counts.tolist()] for day in watch.days.values()],
    }


async def test_before_the_first_score_nothing_is_said(web, bearer):
    response = await web.client.get("/drift", headers=bearer("analyst"))
    assert response.status == 200
    shown = Drift.model_validate(await response.json())
    assert (shown.model, shown.days) == (None, [])


async def test_workers_of_the_same_model_are_added_up_and_others_left_out(tokens, bearer, model):
    mine, same = watched(model, 600), watched(model, 500)
    others = OtherWorkers(
        part_of(same), {"model": "another", "days": [[MARCH_1, [[7]]]]}, {"model": None, "days": []}
    )
    shown = await answered(tokens, bearer, others, mine)
    assert (shown.model, shown.other_models) == (model.version, 2)
    (day,) = shown.days
    assert (day.date, day.minutes) == ("2026-03-01", 1_100)
    assert tuple(day.psi) == WATCHED
    assert day.psi["events"] > shown.moved_above, "all minutes in one bin are far from deciles"


async def test_the_newest_day_comes_first_and_one_with_few_minutes_has_no_index(tokens, bearer, model):
    shown = await answered(
        tokens, bearer, OtherWorkers(part_of(watched(model, 9, MARCH_1 + 1))), watched(model, 1_000)
    )
    assert [(day.date, day.psi is None) for day in shown.days] == [
        ("2026-03-02", True),
        ("2026-03-01", False),
    ]


def test_the_figures_name_the_day_and_the_feature(model):
    assert {figure.name: figure.samples for figure in drift_figures(DriftWatch())}["ott_drift_psi"] == []
    watch = watched(model, 1_000)
    minutes, index, left_out = drift_figures(watch)
    assert [(sample.labels, sample.value) for sample in minutes.samples] == [({"day": "newest"}, 1_000)]
    found = {sample.labels["feature"]: sample.value for sample in index.samples}
    assert found == watch.days[MARCH_1].psi(model)
    assert [(sample.name, sample.value) for sample in left_out.samples] == [("ott_drift_left_out_total", 0)]
