"""Answers that are given again for a moment: many pages ask the same while a worker has better things to do."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_S: Final = 1.0
_MOST: Final = 32
"""So many are kept: the views, each with the few questions that a page asks."""


class _Answer(NamedTuple):
    asked: float
    body: bytes
    content_type: str


class KeptAnswers:
    """By request target, each good for a second from when it was first asked for.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, _Answer] = {}
        self._forgotten = -math.inf

    def now(self) -> float:
        """When a question is asked; see `keep`."""
        return self._clock()

    def find(self, target: str) -> web.Response | None:
        """The answer to the same question of a moment ago."""
        kept = self._answers.get(target)
        if kept is None or not self._good(kept.asked):
            return None
        return web.Response(body=kept.body, content_type=kept.content_type)

    def keep(self, target: str, asked: float, response: web.StreamResponse) -> None:
        """Keep a good answer.

        Args:
            target: path and query.
            asked: when the question was asked: what is known since then may not be in the answer.
            response: it; other answers than 200 are not kept.
        """
        if (
            not isinstance(response, web.Response)
            or response.status != HTTPStatus.OK
            or not self._good(asked)
        ):
            return
        body = response.body
        if isinstance(body, bytes):
            if len(self._answers) >= _MOST:
                self._answers = {name: kept for name, kept in self._answers.items() if self._good(kept.asked)}
            if len(self._answers) < _MOST:
                self._answers[target] = _Answer(asked, body, response.content_type)

    def forget(self) -> None:
        """Something was changed: what was asked before is not answered with any more."""
        self._answers.clear()
        self._forgotten = self._clock()

    def _good(self, asked: float) -> bool:
        return asked > max(self._forgotten, self._clock() - KEPT_S)
