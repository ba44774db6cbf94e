from __future__ import annotations

from commandside.commands.fields import Line, Sku, StockDelta, StockUnits, Strictly, WarehouseId


class ReceiveStock(Strictly):
    sku: Sku
    warehouse_id: WarehouseId
    quantity: StockUnits


class AdjustStock(Strictly):
    sku: Sku
    warehouse_id: WarehouseId
    quantity_delta: StockDelta
    reason: Line
