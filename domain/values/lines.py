from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.values.money import Money
from domain.values.product_details import ProductKind


@dataclass(frozen=True, slots=True)
class Item:
    """So many units of one product."""

    product_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class CartLine:
    """A product in a cart. `unit_price` is what was shown when it went in; checkout reads the price anew."""

    product_id: str
    title: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A product sold: `unit_price` is the price charged."""

    product_id: str
    title: str
    quantity: int
    unit_price: Money
    kind: ProductKind = "goods"

    @property
    def line_total(self) -> Money:
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class StockClaim:
    """Units of one SKU that one order takes from one warehouse."""

    sku: str
    warehouse_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class ShipmentPlan:
    """What one warehouse sends for an order. `shipment_id` is unique within its order."""

    shipment_id: str
    warehouse_id: str
    items: tuple[Item, ...]
    estimated_delivery: datetime
