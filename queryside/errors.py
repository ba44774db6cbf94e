"""Why a query has no answer. Each error is a problem document (RFC 9457) in the making."""

from __future__ import annotations

from typing import ClassVar


class QueryError(Exception):
    """`slug` is stable and names the problem's type, `figures` are JSON values that the client needs to go on."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    retry_after_seconds: int | None = None

    def __init__(self, detail: str, **figures: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.figures = figures


class NotFound(QueryError):
    """There is no such thing, or it is not the caller's: the two look alike on purpose."""

    status = 404
    slug = "not-found"
    title = "Not found"

    def __init__(self, what: str, which: str) -> None:
        super().__init__(f"There is no {what} {which!r}.", what=what, id=which)


class InvalidQuery(QueryError):
    """A parameter or header that cannot be. `errors` are `{"field", "message", "code"}` each."""

    status = 422
    slug = "invalid-input"
    title = "Invalid input"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", errors=[{"field": field, "message": message, "code": "invalid"}])


class NotThereInTime(QueryError):
    """The view does not hold yet what the caller knows to have happened."""

    status = 503
    slug = "not-there-in-time"
    title = "The view is not that far yet"
    retry_after_seconds = 1


class StoreUnavailable(QueryError):
    """What the answer is read from does not answer."""

    status = 503
    slug = "unavailable"
    title = "Temporarily unavailable"
    retry_after_seconds = 1


class TooManyOfYours(QueryError):
    """One caller asks for more at once than is good for the others."""

    status = 429
    slug = "too-many-requests"
    title = "Too many requests"
    retry_after_seconds = 5


class TooManyWaiting(QueryError):
    """More callers wait than the process has room for."""

    status = 503
    slug = "overloaded"
    title = "Too many requests are waiting"
    retry_after_seconds = 1
