"""What a product page shows, apart from its stock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

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
from domain.values import Attribute, Money, ProductDetails, ProductKind
from projections.versions import advance

ProductStatus = Literal["active", "inactive"]


class ProductPage(Struct, frozen=True, omit_defaults=True):
    """The JSON that a reader is sent, without `availability`. `rating` is in stars, 0 to 5.

    Without a limit per customer there is no such member.
    """

    product_id: str
    title: str
    description: str | None
    brand: str | None
    category: tuple[str, ...]
    price: Money
    images: tuple[str, ...]
    attributes: dict[str, Attribute]
    seller_id: str | None
    status: ProductStatus
    rating: float | None
    review_count: int
    version: int
    updated_at: datetime
    limit_per_customer: int | None = None


class ProductView(Struct, frozen=True):
    page: ProductPage
    kind: ProductKind

    @property
    def version(self) -> int:
        return self.page.version


def evolve(view: ProductView | None, event: AnyEvent) -> ProductView:
    """The view after `event`; as it is when that was applied before. Raises VersionGap."""
    return advance(view, event, _added, _CHANGES)


def _added(event: ProductAdded) -> ProductView:
    page = ProductPage(
        product_id=event.sku,
        price=event.price,
        status="active",
        rating=None,
        review_count=0,
        version=event.originator_version,
        updated_at=event.timestamp,
        **_described(event.details),
    )
    return ProductView(page, event.details.kind)


def _revised(view: ProductView, event: ProductRevised) -> ProductView:
    return ProductView(_changed(view, event, **_described(event.details)).page, event.details.kind)


def _repriced(view: ProductView, event: ProductRepriced) -> ProductView:
    return _changed(view, event, price=event.price)


def _activated(view: ProductView, event: ProductActivated) -> ProductView:
    return _changed(view, event, status="active")


def _deactivated(view: ProductView, event: ProductDeactivated) -> ProductView:
    return _changed(view, event, status="inactive")


def _limited(view: ProductView, event: ProductLimited) -> ProductView:
    return _changed(view, event, limit_per_customer=event.limit_per_customer)


def _rated(view: ProductView, event: ProductRated) -> ProductView:
    return _changed(view, event, rating=event.rating_hundredths / 100, review_count=event.review_count)


def _changed(view: ProductView, event: AnyEvent, **fields: Any) -> ProductView:
    page = replace(view.page, version=event.originator_version, updated_at=event.timestamp, **fields)
    return ProductView(page, view.kind)


def _described(details: ProductDetails) -> dict[str, Any]:
    return {
        "title": details.title,
        "description": details.description,
        "brand": details.brand,
        "category": details.category,
        "images": details.images,
        "attributes": details.attributes,
        "seller_id": details.seller_id,
    }


_CHANGES: dict[type, Callable[[ProductView, Any], ProductView]] = {
    ProductRevised: _revised,
    ProductRepriced: _repriced,
    ProductActivated: _activated,
    ProductDeactivated: _deactivated,
    ProductLimited: _limited,
    ProductRated: _rated,
}
EVENT_TYPES: frozenset[type] = frozenset({ProductAdded, *_CHANGES})
