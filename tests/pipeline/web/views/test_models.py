"""The views of anomaly models: what is shown, what is refused, and that a dry run publishes nothing."""

import json

import pytest

from pipeline.anomaly.artefact import MAX_BYTES
from pipeline.evaluation.model_book import IN_FORCE_KEY, KEPT, ModelBook
from pipeline.web.http.outbox import Written
from pipeline.web.views.models import OCTETS, ROUTES, ModelsView, model_views
from tests.pipeline.evaluation.models import model_file, newer_form, published
from tests.pipeline.web.serving import serving
from tests.pipeline.web.test_guards import problem_of


class Kept:
    """Takes records in the place of an outbox, and tells them to the book as its follower would."""

    def __init__(self, book):
        self.records = []
        self.book = book

    async def write(self, topic, key, value):
        assert topic == "model-config"
        self.records.append((key, value))
        self.book.offer(key, value, 1_772_366_400_000, len(self.records) - 1)
        return Written(0, len(self.records) - 1)


class Models:
    """Asks as the admin does."""

    def __init__(self, client, headers, book, outbox):
        self.client = client
        self.headers = headers
        self.book = book
        self.outbox = outbox

    async def put(self, body, query="", kind=OCTETS):
        data = json.dumps(body) if isinstance(body, dict) else body
        return await self.client.put(
            f"/models{query}", data=data, headers={**self.headers, "Content-Type": kind}
        )

    async def put_version(self, version, query=""):
        return await self.put({"version": version}, query, "application/json")


@pytest.fixture
async def models(tokens, bearer):
    book = ModelBook()
    outbox = Kept(book)

    views = model_views(None, None, book, outbox, "model-config")
    async with serving(ROUTES, views, tokens) as client:
        yield Models(client, bearer("admin"), book, outbox)


async def test_without_a_publication_the_view_says_so(web, bearer):
    response = await web.client.get("/models", headers=bearer("analyst"))
    assert response.status == 200
    view = ModelsView.model_validate(await response.json())
    assert (view.newest, view.in_force, view.refused, view.models) == (None, {}, None, [])


async def test_models_are_published_and_put_in_force_again_by_their_version(models):
    (a, data), (b, other) = model_file("a"), model_file("b")
    answers = [
        await models.put(data),
        await models.put(other),
        await models.put(other),
        await models.put_version(a),
        await models.put_version("none"),
        await models.put_version("none"),
    ]
    assert [response.status for response in answers] == [200] * 6
    told = [await response.json() for response in answers]
    assert [(one["before"], one["version"]) for one in told] == [
        ("none", a),
        (a, b),
        (b, b),
        (b, a),
        (a, "none"),
        ("none", "none"),
    ]
    keys = [key for key, _ in models.outbox.records]
    assert keys.count(IN_FORCE_KEY) == 4
    assert [key for key in keys if key != IN_FORCE_KEY] == [b"model/" + one.encode() for one in (a, b, a)]
    assert models.outbox.records[-1] == (IN_FORCE_KEY, None)
    assert json.loads(models.outbox.records[1][1])["by"] == "admin"


async def test_a_dry_run_writes_nothing(models):
    version, data = model_file("a")
    response = await models.put(data, "?dry_run=true")
    assert await response.json() == {"version": version, "before": "none", "dry_run": True}
    assert models.outbox.records == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is not a model file"),
        (model_file("a")[1][:-10], "its checksum does not fit"),
        (newer_form(model_file("a")[1]), "written by a newer version of ott"),
    ],
    ids=["empty", "cut off", "newer"],
)
@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_a_file_that_does_not_fit_is_a_conflict(models, body, reason, query):
    response = await models.put(body, query)
    assert response.status == 409
    assert reason in (await problem_of(response)).detail
    assert models.outbox.records == []


async def test_a_huge_file_is_too_large(models):
    assert (await models.put(bytes(MAX_BYTES + 1))).status == 413


async def test_a_version_that_is_not_kept_is_a_conflict(models):
    response = await models.put_version("0123456789abcdef")
    assert response.status == 409
    assert f"is not one of the {KEPT}" in (await problem_of(response)).detail


async def test_a_version_that_is_refused_is_a_conflict_and_a_good_file_repairs_it(models):
    version, data = model_file("a")
    (key, _), in_force = published("a")
    for record in ((key, data[:-1]), in_force):
        await models.outbox.write("model-config", *record)
    assert "checksum" in models.book.refused.reason
    assert (await models.put_version(version)).status == 409
    assert (await models.put(data)).status == 200
    assert (models.book.refused, models.book.newest.version) == (None, version)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"version":1}', b'{"version":"x","more":1}', b"\xff"])
async def test_a_body_that_names_no_version_is_refused(models, body):
    assert (await models.put(body, kind="application/json")).status == 400


async def test_a_body_of_another_type_is_refused(models):
    assert (await models.put(b"x", kind="text/plain")).status == 415
