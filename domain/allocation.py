"""Which warehouse sends what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.errors import InsufficientStock
from domain.values import Item, StockClaim

Available = Mapping[str, Mapping[str, int]]


def allocate(items: Sequence[Item], available: Available) -> tuple[StockClaim, ...]:
    """Claims that cover `items` from `available[sku][warehouse_id]` units, in as few parcels as is easy to see.

    One warehouse that has everything sends everything (of several, the first one named); otherwise each item is taken
    from where most of it is. Raises InsufficientStock for the first item of which there is not enough anywhere.
    """
    for item in items:
        there = sum(available[item.product_id].values())
        if item.quantity > there:
            raise InsufficientStock(item.product_id, item.quantity, there)
    for warehouse_id in _warehouses_in_order(available):
        if all(available[item.product_id].get(warehouse_id, 0) >= item.quantity for item in items):
            return tuple(StockClaim(item.product_id, warehouse_id, item.quantity) for item in items)
    return tuple(claim for item in items for claim in _take(item, available[item.product_id]))


def _warehouses_in_order(available: Available) -> list[str]:
    return list(dict.fromkeys(warehouse_id for places in available.values() for warehouse_id in places))


def _take(item: Item, places: Mapping[str, int]) -> list[StockClaim]:
    claims, missing = [], item.quantity
    for warehouse_id, units in sorted(places.items(), key=lambda place: -place[1]):
        quantity = min(units, missing)
        if quantity > 0:
            claims.append(StockClaim(item.product_id, warehouse_id, quantity))
            missing -= quantity
    return claims
