from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from domain.aggregates.base import EventSourced, evolves
from domain.errors import CurrencyMismatch, ProductUnavailable, RuleBroken
from domain.events.product import (
    ProductActivated,
    ProductAdded,
    ProductDeactivated,
    ProductLimited,
    ProductRated,
    ProductRepriced,
    ProductRevised,
)
from domain.identity import product_stream
from domain.values import Cause, Money, ProductDetails


@dataclass(frozen=True, slots=True)
class ProductState:
    sku: str
    details: ProductDetails
    price: Money
    active: bool
    rating_hundredths: int | None
    review_count: int
    limit_per_customer: int | None


class Product(EventSourced):
    """An entry of the catalogue and its price."""

    TOPIC = "product"
    STATE = ProductState
    STATE_VERSION = 2

    @classmethod
    def add(cls, sku: str, details: ProductDetails, price: Money, cause: Cause) -> Self:
        return cls._start(ProductAdded, product_stream(sku), cause, sku=sku, details=details, price=price)

    def revise(self, details: ProductDetails, cause: Cause) -> None:
        if details != self.details:
            self._trigger(ProductRevised, cause, sku=self.sku, details=details)

    def reprice(self, price: Money, cause: Cause) -> None:
        """A product keeps its currency: carts hold it. Raises CurrencyMismatch."""
        if price.currency != self.price.currency:
            raise CurrencyMismatch(self.price.currency, price.currency)
        if price != self.price:
            self._trigger(ProductRepriced, cause, sku=self.sku, price=price)

    def activate(self, cause: Cause) -> None:
        if not self.active:
            self._trigger(ProductActivated, cause, sku=self.sku)

    def deactivate(self, cause: Cause) -> None:
        if self.active:
            self._trigger(ProductDeactivated, cause, sku=self.sku)

    def limit(self, limit_per_customer: int | None, cause: Cause) -> None:
        """How many units one customer can have; None: no limit. Raises RuleBroken when it is less than one."""
        if limit_per_customer is not None and limit_per_customer < 1:
            raise RuleBroken(f"A limit is at least 1, not {limit_per_customer}.", limit=limit_per_customer)
        if limit_per_customer != self.limit_per_customer:
            self._trigger(ProductLimited, cause, sku=self.sku, limit_per_customer=limit_per_customer)

    def rate(self, rating_hundredths: int, review_count: int, cause: Cause) -> None:
        if (rating_hundredths, review_count) != (self.rating_hundredths, self.review_count):
            self._trigger(
                ProductRated, cause, sku=self.sku, rating_hundredths=rating_hundredths, review_count=review_count
            )

    def ensure_sold(self) -> None:
        """Raises ProductUnavailable when it is not for sale."""
        if not self.active:
            raise ProductUnavailable(self.sku)

    @property
    def stocked(self) -> bool:
        return self.details.kind == "goods"

    @evolves(ProductAdded)
    def _added(self, event: ProductAdded) -> None:
        self.sku = event.sku
        self.details = event.details
        self.price = event.price
        self.active = True
        self.rating_hundredths: int | None = None
        self.review_count = 0
        self.limit_per_customer: int | None = None

    @evolves(ProductRevised)
    def _revised(self, event: ProductRevised) -> None:
        self.details = event.details

    @evolves(ProductRepriced)
    def _repriced(self, event: ProductRepriced) -> None:
        self.price = event.price

    @evolves(ProductActivated)
    def _activated(self, event: ProductActivated) -> None:
        self.active = True

    @evolves(ProductDeactivated)
    def _deactivated(self, event: ProductDeactivated) -> None:
        self.active = False

    @evolves(ProductLimited)
    def _limited(self, event: ProductLimited) -> None:
        self.limit_per_customer = event.limit_per_customer

    @evolves(ProductRated)
    def _rated(self, event: ProductRated) -> None:
        self.rating_hundredths = event.rating_hundredths
        self.review_count = event.review_count
