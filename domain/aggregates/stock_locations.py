from __future__ import annotations

from typing import Self

from domain.aggregates.base import EventSourced, evolves
from domain.events.stock import StockLocationsOpened, WarehouseAdded
from domain.identity import stock_locations_stream
from domain.values import Cause


class StockLocations(EventSourced):
    """Which warehouses hold (or held) a SKU, in the order in which they first received it."""

    TOPIC = "stock_locations"

    @classmethod
    def open(cls, sku: str, warehouse_id: str, cause: Cause) -> Self:
        return cls._start(StockLocationsOpened, stock_locations_stream(sku), cause, sku=sku, warehouse_id=warehouse_id)

    def add(self, warehouse_id: str, cause: Cause) -> None:
        if warehouse_id not in self.warehouse_ids:
            self._trigger(WarehouseAdded, cause, sku=self.sku, warehouse_id=warehouse_id)

    @evolves(StockLocationsOpened)
    def _opened(self, event: StockLocationsOpened) -> None:
        self.sku = event.sku
        self.warehouse_ids = [event.warehouse_id]

    @evolves(WarehouseAdded)
    def _added(self, event: WarehouseAdded) -> None:
        self.warehouse_ids.append(event.warehouse_id)
