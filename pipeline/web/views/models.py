"""`/models`: shows which anomaly model scores where, and puts another one in force."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.anomaly.artefact import MAX_BYTES, ModelError, read_model
from pipeline.evaluation.model_book import IN_FORCE_KEY, KEPT, NONE, records_of
from pipeline.events.instants import format_instant
from pipeline.web.http.answers import Answer, AsOf, Coverage, Instant
from pipeline.web.http.problems import Problem, invalid
from pipeline.web.http.routes import JSON, Body, Route
from pipeline.web.views.rules import DryRun
from tables.risk import MODEL_KEY, model_of

if TYPE_CHECKING:
    from pipeline.delivery.table import WriteBehindTable
    from pipeline.evaluation.model_book import ModelBook
    from pipeline.web.cluster.peers import Peers
    from pipeline.web.http.calls import Call, Handlers
    from pipeline.web.http.outbox import Outbox
    from tables.risk import RiskValue

OCTETS: Final = "application/octet-stream"


class PublishedModel(Answer):
    """The newest good publication."""

    version: str
    by: str
    published_at: Instant


class RefusedModel(Answer):
    """A publication that cannot be used."""

    reason: str
    published_at: Instant


class KeptModel(Answer):
    """A model that can be put in force by its version."""

    version: str
    trained_on: str | None = Field(description="what its card says of that; null if it cannot be used")
    refused: str | None = Field(description="why it cannot be used")
    published_at: Instant = Field(description="the last time")


class ModelsView(Answer):
    """The anomaly model that scores, and those that were published last."""

    newest: PublishedModel | None = Field(description="null where no model is in force")
    in_force: dict[str, list[int]] = Field(
        description="partitions by the version that scores there, or none; a partition takes the newest with its next "
        "record"
    )
    refused: RefusedModel | None = Field(
        description="the newest publication, if it is a bad one: the last good one stays"
    )
    models: list[KeptModel] = Field(description=f"the {KEPT} that were published last, the newest first")
    coverage: Coverage
    as_of: AsOf


class ModelChange(Answer):
    """What a publication does, or did. Nothing is written where the version is in force already."""

    version: str
    before: str
    dry_run: bool


class ModelVersion(BaseModel):
    """A model that was published before, or none."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=64, description="one of models in GET /models, or none")


ROUTES: Final = (
    Route(
        name="models",
        method="GET",
        path="/models",
        role="analyst",
        summary="The anomaly model in force",
        answers=(ModelsView,),
        snapshot=True,
        tag="rules",
    ),
    Route(
        name="change_model",
        method="PUT",
        path="/models",
        role="admin",
        summary="Put a model in force: its file, or the version of one that was published before",
        answers=(ModelChange,),
        query=DryRun,
        body=Body(content={OCTETS: (), JSON: (ModelVersion,)}, limit=MAX_BYTES),
        problems=(409,),
        tag="rules",
    ),
)

_read_version_asked: Final = TypeAdapter(ModelVersion).validate_json


def model_views(
    users: WriteBehindTable[RiskValue], peers: Peers, book: ModelBook, outbox: Outbox, topic: str
) -> Handlers:
    """The handlers of `/models`.

    Args:
        users: the risk agent's table.
        peers: the other workers.
        book: the models.
        outbox: writes publications; it must put all records of the topic into partition 0.
        topic: the full name of `model-config`.
    """
    models = _Models(users, peers, book, outbox, topic)
    return {"models": models.show, "change_model": models.change}


class _Models:
    def __init__(
        self, users: WriteBehindTable[RiskValue], peers: Peers, book: ModelBook, outbox: Outbox, topic: str
    ) -> None:
        self._users = users
        self._peers = peers
        self._book = book
        self._outbox = outbox
        self._topic = topic

    async def show(self, call: Call) -> ModelsView:
        """The newest good model, the partitions where it is in force, and what can be put in force."""
        own = {
            partition: {"version": model_of(reader.peek(MODEL_KEY)).version}
            for partition, reader in self._users.owned()
        }
        gathered = await self._peers.gather(call, self._users, own)
        in_force: defaultdict[str, list[int]] = defaultdict(list)
        for partition, found in sorted(gathered.partitions.items()):
            in_force[found["version"]].append(partition)
        newest, publication, refused = self._book.newest, self._book.publication, self._book.refused
        return ModelsView(
            newest=None
            if newest is None or publication is None
            else PublishedModel(
                version=newest.version, by=publication.by, published_at=format_instant(newest.published)
            ),
            in_force=dict(in_force),
            refused=None
            if refused is None
            else RefusedModel(reason=refused.reason, published_at=format_instant(refused.published)),
            models=[
                KeptModel(
                    version=version,
                    trained_on=file.trained_on,
                    refused=file.refused,
                    published_at=format_instant(file.written),
                )
                for version, file in self._book.kept()
            ],
            coverage=gathered.coverage,
            as_of=call.as_of,
        )

    async def change(self, call: Call) -> ModelChange:
        """Put a model in force, or none. With `dry_run`, only check it and say what is in force now."""
        if call.request.content_type == JSON:
            version, data = self._former(call.body)
        else:
            version, data = await _version_of(call.body), call.body
        newest = self._book.newest
        before = NONE if newest is None else newest.version
        is_new = version != before or self._book.refused is not None
        if is_new and not call.query.dry_run:
            assert call.who is not None
            if data is None:
                await self._outbox.write(self._topic, IN_FORCE_KEY, None)
            else:
                now = format_instant(time.time_ns() // 1_000_000)
                # Each waits for its acknowledgement, so the model comes before the record that names it.
                for key, value in records_of(version, data, by=call.who.name, at=now):
                    await self._outbox.write(self._topic, key, value)
        return ModelChange(version=version, before=before, dry_run=call.query.dry_run)

    def _former(self, body: bytes) -> tuple[str, bytes | None]:
        """The version that the body names, and its file; None for no model."""
        try:
            version = _read_version_asked(body).version
        except ValidationError as error:
            raise invalid(error, "body") from None
        if version == NONE:
            return NONE, None
        file = self._book.file(version)
        if file is None:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"model {version} is not one of the {KEPT} that were published last; send its file",
            )
        if file.refused is not None:
            raise Problem(HTTPStatus.CONFLICT, file.refused)
        return version, file.data


async def _version_of(data: bytes) -> str:
    try:
        return (await asyncio.to_thread(read_model, data, "the model")).version
    except ModelError as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None
