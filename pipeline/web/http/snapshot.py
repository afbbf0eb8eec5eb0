"""The snapshot: answers to questions about no single subject, each at most a second old.

Summaries, rankings and lists look at every partition or at the whole index, and many pages ask for the same ones every
few seconds. So the same question is answered once in a second at most. Whoever asks meanwhile gets the same answer,
which says in `as_of` when it was made. Guards and the audit trail are not part of it: they act on every request.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from pipeline.bounded import BoundedDict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LIFE_S: Final = 1.0
_COST: Final = 20
"""An answer lives at least this many times as long as it took, so that making it takes at most 5 % of the time."""
_QUESTIONS: Final = 64
"""Enough for the views of a few open pages. Beyond this number the oldest answers are dropped."""


@dataclass(slots=True)
class _Answer:
    making: asyncio.Future[web.Response]
    expires: float


class Snapshot:
    """Answers by question (path and query), for everybody who may ask.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: BoundedDict[str, _Answer] = BoundedDict(_QUESTIONS)

    async def answer(self, question: str, make: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """The answer to a question; `make` makes it if there is none that is young enough.

        Everybody who asks while it is made waits for the same answer. A caller that goes away does not end the work,
        and an error is for those who wait only.
        """
        known = self._answers.get(question)
        if known is None or self._clock() >= known.expires:
            known = _Answer(asyncio.ensure_future(make()), float("inf"))
            self._answers[question] = known
            began = self._clock()
            known.making.add_done_callback(lambda made: self._made(question, known, began, made))
        made = await asyncio.shield(known.making)
        return web.Response(body=made.body, status=made.status, content_type=made.content_type)

    def forget(self) -> None:
        """Drop all answers; called after a request that may have changed something."""
        self._answers.clear()

    def _made(self, question: str, answer: _Answer, began: float, made: asyncio.Future[web.Response]) -> None:
        if made.cancelled() or made.exception() is not None or made.result().status != web.HTTPOk.status_code:
            if self._answers.get(question) is answer:
                del self._answers[question]
            return
        took = self._clock() - began
        answer.expires = began + max(LIFE_S, _COST * took)
