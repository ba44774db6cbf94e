from __future__ import annotations

from typing import ClassVar

from domain.events.base import Created, Event
from domain.values import Money, ProductDetails


class ProductAdded(Created):
    TOPIC: ClassVar[str] = "product.added.v1"
    sku: str
    details: ProductDetails
    price: Money


class ProductRevised(Event):
    """`details` are all of them as they are from now on, changed or not."""

    TOPIC: ClassVar[str] = "product.revised.v1"
    sku: str
    details: ProductDetails


class ProductRepriced(Event):
    TOPIC: ClassVar[str] = "product.repriced.v1"
    sku: str
    price: Money


class ProductActivated(Event):
    TOPIC: ClassVar[str] = "product.activated.v1"
    sku: str


class ProductDeactivated(Event):
    TOPIC: ClassVar[str] = "product.deactivated.v1"
    sku: str


class ProductLimited(Event):
    """One customer can have so many units, over all their orders from now on; null: as many as there are."""

    TOPIC: ClassVar[str] = "product.limited.v1"
    sku: str
    limit_per_customer: int | None


class ProductRated(Event):
    """The standing of a product with its reviewers, as a review system reports it. 0 to 500 hundredths of a star."""

    TOPIC: ClassVar[str] = "product.rated.v1"
    sku: str
    rating_hundredths: int
    review_count: int
