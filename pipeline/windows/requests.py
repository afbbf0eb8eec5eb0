"""The privacy requests of a user, as they came: what was asked, when, and by the law of which region."""

from typing import Final

import msgspec

from pipeline.events.event import Request

KEPT: Final = 100
"""So many of the newest are kept of a user; all of them stay on the topic."""


class RequestRecord(msgspec.Struct, frozen=True, array_like=True):
    """One request. Times in milliseconds since 1970; `record_time` (of its record) negative for none."""

    request_id: str
    type: str
    time: int
    region: str | None
    record_time: int


class RequestHistory(msgspec.Struct, frozen=True, array_like=True):
    """What a user asked for, and when data of the user was erased.

    Attributes:
        requests: in the order of their arrival, each once.
        erased: when window and last place were erased, oldest first, in milliseconds since 1970.
    """

    requests: tuple[RequestRecord, ...] = ()
    erased: tuple[int, ...] = ()

    def followed_by(self, request: Request, record_time: int) -> "RequestHistory":
        """With one more; one that was sent again changes nothing."""
        if any(
            known.request_id == request.request_id and known.type == request.type for known in self.requests
        ):
            return self
        newest = RequestRecord(request.request_id, request.type, request.time, request.region, record_time)
        return RequestHistory((*self.requests, newest)[-KEPT:], self.erased)

    def erased_at(self, time: int, region: str | None = None) -> "RequestHistory":
        """With one more erasure.

        Args:
            time: of it.
            region: where the user was last, which is erased: requests that name no region keep it for their deadlines.
        """
        requests = self.requests
        if region is not None:
            requests = tuple(
                request if request.region is not None else msgspec.structs.replace(request, region=region)
                for request in requests
            )
        return RequestHistory(requests, (*self.erased, time)[-KEPT:])
