"""Finding the stock of SKUs: which warehouses hold them, and what is there."""

from __future__ import annotations

from collections.abc import Collection

from commandside.aggregates import Aggregates
from domain.aggregates import StockItem, StockLocations
from domain.identity import stock_locations_stream, stock_stream

StockOf = dict[str, dict[str, StockItem]]


def stock_of(aggregates: Aggregates, skus: Collection[str]) -> StockOf:
    """Per SKU its stock items by warehouse, the warehouse that received it first coming first."""
    locations = aggregates.find_all(StockLocations, [stock_locations_stream(sku) for sku in skus])
    places = {found.sku: found.warehouse_ids for found in locations.values()}
    items = aggregates.find_all(
        StockItem, [stock_stream(sku, warehouse) for sku, warehouses in places.items() for warehouse in warehouses]
    )
    return {sku: {warehouse: items[stock_stream(sku, warehouse)] for warehouse in places.get(sku, ())} for sku in skus}


def available(stock: StockOf) -> dict[str, dict[str, int]]:
    return {sku: {place: item.available for place, item in items.items()} for sku, items in stock.items()}
