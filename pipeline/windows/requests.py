"""The privacy requests of a user, in order of arrival, for the views of the privacy office."""

from typing import Final

import msgspec

from pipeline.events.event import Request

KEPT: Final = 100
"""The most requests that are kept of a user, the newest ones. All of them stay on the topic."""


class RequestRecord(msgspec.Struct, frozen=True, array_like=True):
    """One request. Times are milliseconds since 1970. `record_time`, its record's timestamp, is negative for none."""

    request_id: str
    type: str
    time: int
    region: str | None
    record_time: int


class RequestHistory(msgspec.Struct, frozen=True, array_like=True):
    """The requests of a user, and when the user's data was erased.

    Attributes:
        requests: in order of arrival, each once.
        erased: the times at which window and last place were erased, oldest first, in milliseconds since 1970.
    """

    requests: tuple[RequestRecord, ...] = ()
    erased: tuple[int, ...] = ()

    def followed_by(self, request: Request, record_time: int) -> "RequestHistory":
        """The history with one more request. A request that was sent again changes nothing."""
        if any(
            known.request_id == request.request_id and known.type == request.type for known in self.requests
        ):
            return self
        newest = RequestRecord(request.request_id, request.type, request.time, request.region, record_time)
        return RequestHistory((*self.requests, newest)[-KEPT:], self.erased)

    def erased_at(self, time: int, region: str | None = None) -> "RequestHistory":
        """The history with one more erasure.

        Args:
            time: when it happened, in milliseconds since 1970.
            region: the region of the last place, which is erased. Requests that name no region take it over, because
                their deadlines depend on the region's laws.
        """
        requests = self.requests
        if region is not None:
            requests = tuple(
                request if request.region is not None else msgspec.structs.replace(request, region=region)
                for request in requests
            )
        return RequestHistory(requests, (*self.erased, time)[-KEPT:])
