"""The open views: is the process up, is it ready, what was counted."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import faust
from faust.types.web import Request, Response
from faust.web import View

from pipeline import __version__


class Standing(Protocol):
    """What the views ask of the worker."""

    def ready(self) -> bool:
        """Whether partitions are assigned and their tables recovered."""
        ...

    def counts(self) -> Mapping[str, int]:
        """The counts of this worker's partitions, summed (see `pipeline.evaluation.batch.count`)."""
        ...

    def lag(self) -> Mapping[str, int]:
        """Records that are not judged yet, by `topic-partition`."""
        ...


def install(app: faust.App, standing: Standing, *, demo: bool) -> None:
    """Add the views to the app. The accounts tell of the whole stream, so they are open in the demo only."""
    _page(app, "/healthz", lambda: ({"status": "up"}, 200))
    _page(
        app,
        "/readyz",
        lambda: ({"status": "ready"}, 200) if standing.ready() else ({"status": "recovering"}, 503),
    )
    _page(app, "/api", lambda: ({"name": "ott-risk", "version": __version__, "ready": standing.ready()}, 200))
    if demo:
        _page(app, "/stats/accounts", lambda: _accounts(standing))


def _accounts(standing: Standing) -> tuple[dict[str, Any], int]:
    if not standing.ready():
        return {"status": "recovering"}, 503
    counts = standing.counts()
    judged, duplicate, failed = (counts.get(name, 0) for name in ("judged", "duplicate", "failed"))
    return {
        "read": judged + duplicate + failed,
        "judged": judged,
        "duplicate": duplicate,
        "failed": failed,
        "flagged": counts.get("flagged", 0),
        "late": counts.get("late", 0),
        "requests": counts.get("request", 0),
        "rekeyed": counts.get("misplaced", 0),
        "lag": dict(standing.lag()),
    }, 200


def _page(app: faust.App, path: str, answer: Callable[[], tuple[dict[str, Any], int]]) -> None:
    async def view(self: View, request: Request) -> Response:  # noqa: ARG001 - Faust's signature of a view
        body, status = answer()
        return self.json(body, status=status)

    app.page(path, name=path)(view)
