"""What a shopper is told of the stock of a product."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from domain.values import ProductKind

LOW_STOCK_UNITS = 5

AvailabilityStatus = Literal["in_stock", "low_stock", "out_of_stock"]


class Availability(Struct, frozen=True):
    """`quantity` is None where there is nothing to count: a service."""

    status: AvailabilityStatus
    quantity: int | None


def availability(kind: ProductKind, available_units: int) -> Availability:
    if kind == "service":
        return Availability("in_stock", None)
    if available_units > LOW_STOCK_UNITS:
        return Availability("in_stock", available_units)
    return Availability("low_stock" if available_units > 0 else "out_of_stock", available_units)
