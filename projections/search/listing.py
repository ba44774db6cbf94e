"""A product as search knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domain.events import AnyEvent
from domain.events.product import (
    ProductActivated,
    ProductAdded,
    ProductDeactivated,
    ProductLimited,
    ProductRated,
    ProductRepriced,
    ProductRevised,
)
from domain.values import Money, ProductDetails
from projections.versions import advance

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listing:
    """`listed` is false while the product is deactivated: it is not found then. `added_at_microseconds`: since 1970."""

    sku: str
    version: int
    details: ProductDetails
    price: Money
    added_at_microseconds: int
    listed: bool = True
    rating_hundredths: int | None = None
    review_count: int = 0


def evolve(listing: Listing | None, event: AnyEvent) -> Listing:
    """The listing after `event`; as it is when that was applied before. Raises VersionGap."""
    return advance(listing, event, _added, _CHANGES)


def _added(event: ProductAdded) -> Listing:
    added_at_microseconds = (event.timestamp - _EPOCH) // timedelta(microseconds=1)
    return Listing(event.sku, event.originator_version, event.details, event.price, added_at_microseconds)


def _revised(listing: Listing, event: ProductRevised) -> Listing:
    return replace(listing, version=event.originator_version, details=event.details)


def _repriced(listing: Listing, event: ProductRepriced) -> Listing:
    return replace(listing, version=event.originator_version, price=event.price)


def _activated(listing: Listing, event: ProductActivated) -> Listing:
    return replace(listing, version=event.originator_version, listed=True)


def _deactivated(listing: Listing, event: ProductDeactivated) -> Listing:
    return replace(listing, version=event.originator_version, listed=False)


def _limited(listing: Listing, event: ProductLimited) -> Listing:
    return replace(listing, version=event.originator_version)  # nothing that one would search for


def _rated(listing: Listing, event: ProductRated) -> Listing:
    # A product that nobody has reviewed has no rating, rather than the lowest.
    rating_hundredths = event.rating_hundredths if event.review_count > 0 else None
    return replace(
        listing,
        version=event.originator_version,
        rating_hundredths=rating_hundredths,
        review_count=event.review_count,
    )


_CHANGES: dict[type, Callable[[Listing, Any], Listing]] = {
    ProductRevised: _revised,
    ProductRepriced: _repriced,
    ProductActivated: _activated,
    ProductDeactivated: _deactivated,
    ProductLimited: _limited,
    ProductRated: _rated,
}
EVENT_TYPES: frozenset[type] = frozenset({ProductAdded, *_CHANGES})
