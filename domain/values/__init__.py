"""Immutable values the events and aggregates are made of."""

from domain.values.address import Address
from domain.values.cause import Cause
from domain.values.currency import minor_digits
from domain.values.lines import CartLine, Item, OrderLine, ShipmentPlan, StockClaim
from domain.values.money import TOTAL_LIMIT_MINOR, Money
from domain.values.product_details import Attribute, ProductDetails, ProductKind

__all__ = [
    "TOTAL_LIMIT_MINOR",
    "Address",
    "Attribute",
    "CartLine",
    "Cause",
    "Item",
    "Money",
    "OrderLine",
    "ProductDetails",
    "ProductKind",
    "ShipmentPlan",
    "StockClaim",
    "minor_digits",
]
