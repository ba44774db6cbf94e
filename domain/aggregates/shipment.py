from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.values import Item

ShipmentStatus = Literal["placed", "processing", "packed", "shipped", "delivered"]
# Least advanced first: with several shipments the least advanced one speaks for the order.
PROGRESS: tuple[ShipmentStatus, ...] = ("placed", "processing", "packed", "shipped", "delivered")


@dataclass(frozen=True, slots=True)
class Shipment:
    """What one warehouse sends for an order, and how far it has come."""

    shipment_id: str
    warehouse_id: str
    items: tuple[Item, ...]
    estimated_delivery: datetime
    status: ShipmentStatus = "placed"
    carrier: str | None = None
    tracking_number: str | None = None

    @property
    def progress(self) -> int:
        return PROGRESS.index(self.status)

    @property
    def left(self) -> bool:
        """It has left the warehouse."""
        return self.status in ("shipped", "delivered")
