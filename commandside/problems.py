"""Refusals as problems (RFC 9457): which status each has, and the body that the client gets."""

from __future__ import annotations

from typing import Any

from commandside.representations import money
from domain.errors import DomainError, KeyReused, NotFound, RuleBroken, StaleVersion
from domain.values import Money

# The first class that fits; the order matters.
_STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (NotFound, 404),
    (StaleVersion, 412),
    (KeyReused, 422),
    (RuleBroken, 409),
)


class PaymentDeclined(DomainError):
    slug = "payment-declined"

    def __init__(self, reason: str) -> None:
        super().__init__("The payment was declined.", reason=reason)


def status_of(error: DomainError) -> int:
    if isinstance(error, PaymentDeclined):
        return 402
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def problem(error: DomainError) -> dict[str, Any]:
    """The same body for the same refusal, whenever it is told."""
    return {
        "type": f"/problems/{error.slug}",
        "title": title_of(error.slug),
        "status": status_of(error),
        "detail": error.detail,
        **{name: money(value) if isinstance(value, Money) else value for name, value in error.figures.items()},
    }


def title_of(slug: str) -> str:
    return slug.replace("-", " ").capitalize()
