"""Events of one SKU in one warehouse. Each names both, so that a reader needs no directory."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from domain.events.base import Created, Event


class StockOpened(Created):
    TOPIC: ClassVar[str] = "stock.opened.v1"
    sku: str
    warehouse_id: str


class StockReceived(Event):
    TOPIC: ClassVar[str] = "stock.received.v1"
    sku: str
    warehouse_id: str
    quantity: int


class StockAdjusted(Event):
    TOPIC: ClassVar[str] = "stock.adjusted.v1"
    sku: str
    warehouse_id: str
    quantity_delta: int
    reason: str


class StockReserved(Event):
    TOPIC: ClassVar[str] = "stock.reserved.v1"
    sku: str
    warehouse_id: str
    reservation_id: str
    quantity: int
    expires_at: datetime


class StockReleased(Event):
    """The reservation was given up: its payment failed."""

    TOPIC: ClassVar[str] = "stock.released.v1"
    sku: str
    warehouse_id: str
    reservation_id: str
    quantity: int


class StockReservationExpired(Event):
    TOPIC: ClassVar[str] = "stock.reservation_expired.v1"
    sku: str
    warehouse_id: str
    reservation_id: str
    quantity: int


class StockCommitted(Event):
    """The reserved units are sold: they leave what is on hand."""

    TOPIC: ClassVar[str] = "stock.committed.v1"
    sku: str
    warehouse_id: str
    reservation_id: str
    quantity: int


class StockRestocked(Event):
    """Sold units came back. `reference` is the order or the return they came back by."""

    TOPIC: ClassVar[str] = "stock.restocked.v1"
    sku: str
    warehouse_id: str
    quantity: int
    reference: str


class StockLocationsOpened(Created):
    TOPIC: ClassVar[str] = "stock_locations.opened.v1"
    sku: str
    warehouse_id: str


class WarehouseAdded(Event):
    TOPIC: ClassVar[str] = "stock_locations.warehouse_added.v1"
    sku: str
    warehouse_id: str
