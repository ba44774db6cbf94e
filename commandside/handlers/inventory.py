from __future__ import annotations

from commandside.aggregates import Aggregates
from commandside.commands import AdjustStock, ReceiveStock
from commandside.handlers.context import Answer, Context
from commandside.representations import stock
from domain.aggregates import Product, StockItem, StockLocations
from domain.errors import NotFound, RuleBroken
from domain.identity import product_stream, stock_locations_stream, stock_stream

WAREHOUSES_LIMIT_COUNT = 100


def receive_stock(aggregates: Aggregates, command: ReceiveStock, context: Context) -> Answer:
    """Opens the SKU's stock at this warehouse where there was none. Raises NotFound, StaleVersion, RuleBroken."""
    item_id = stock_stream(command.sku, command.warehouse_id)
    aggregates.load([product_stream(command.sku), stock_locations_stream(command.sku), item_id])
    product = aggregates.find(Product, product_stream(command.sku))
    if product is None:
        raise NotFound("product", command.sku)
    if not product.stocked:
        raise RuleBroken(f"{command.sku!r} is a service: it has no stock.", product_id=command.sku)
    locations = aggregates.find(StockLocations, stock_locations_stream(command.sku))
    item = aggregates.find(StockItem, item_id)
    context.ensure_current(item)
    if item is None:
        if locations is None:
            aggregates.add(StockLocations.open(command.sku, command.warehouse_id, context.cause))
        elif len(locations.warehouse_ids) >= WAREHOUSES_LIMIT_COUNT:
            raise RuleBroken(f"A SKU lies in at most {WAREHOUSES_LIMIT_COUNT} warehouses.")
        else:
            locations.add(command.warehouse_id, context.cause)
        item = StockItem.open(command.sku, command.warehouse_id, context.cause)
        aggregates.add(item)
    item.receive(command.quantity, context.cause)
    return Answer(item.version, stock(item))


def adjust_stock(aggregates: Aggregates, command: AdjustStock, context: Context) -> Answer:
    """Raises NotFound, StaleVersion, BelowReserved."""
    item = aggregates.find(StockItem, stock_stream(command.sku, command.warehouse_id))
    if item is None:
        raise NotFound("stock", f"{command.sku}@{command.warehouse_id}")
    context.ensure_current(item)
    item.adjust(command.quantity_delta, command.reason, context.cause)
    return Answer(item.version, stock(item))
