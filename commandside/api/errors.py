"""What can go wrong at the door, and how everything that can is told: status, slug, title, detail, figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from commandside.event_store import OutcomeUnknown, StoreUnavailable
from commandside.problems import problem, title_of
from commandside.saga.starting import PaymentsUnavailable
from commandside.writer import Busy, Contended
from domain.errors import CheckoutInProgress, DomainError

RETRY_AFTER_SECONDS = 1


class ApiError(Exception):
    """A problem (RFC 9457) that is an HTTP matter and no rule of the domain."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        figures: dict[str, object] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title_of(slug)
        self.detail = detail
        self.figures = figures or {}
        self.retry_after_seconds = retry_after_seconds


def _of_domain(error: Exception) -> ApiError:
    assert isinstance(error, DomainError)
    body = problem(error)
    figures = {name: body[name] for name in error.figures}
    retry = RETRY_AFTER_SECONDS if isinstance(error, CheckoutInProgress) else None
    return ApiError(body["status"], error.slug, error.detail, figures=figures, retry_after_seconds=retry)


def _busy(error: Exception) -> ApiError:
    detail = "More is being written than can be taken in. Nothing was done."
    return ApiError(503, "busy", detail, retry_after_seconds=RETRY_AFTER_SECONDS)


def _unavailable(error: Exception) -> ApiError:
    detail = "The event store does not answer."
    if isinstance(error, OutcomeUnknown):
        # Who repeats what may have been done does it twice, unless it has a key.
        detail += " Whether this was done is not known: look before you ask again."
    return ApiError(503, "store-unavailable", detail, retry_after_seconds=5 * RETRY_AFTER_SECONDS)


def _payments_away(error: Exception) -> ApiError:
    assert isinstance(error, PaymentsUnavailable)
    detail = "The payment provider does not answer. Nothing was done: send the same request again."
    retry = max(RETRY_AFTER_SECONDS, math.ceil(error.retry_after_seconds))
    return ApiError(503, "payments-unavailable", detail, retry_after_seconds=retry)


TRANSLATIONS: Mapping[type[Exception], Callable[[Exception], Any]] = {
    ApiError: lambda error: error,
    DomainError: _of_domain,
    Busy: _busy,
    Contended: _busy,
    StoreUnavailable: _unavailable,
    PaymentsUnavailable: _payments_away,
}
