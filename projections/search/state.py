"""Which rows a batch of events is about, and what becomes of them. Pure: reading and writing them is `tables`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from domain.events import AnyEvent
from projections import stock_level
from projections.search import listing, sale
from projections.search.listing import Listing
from projections.search.sale import Sale
from projections.stock_level import StockLevel

Place = tuple[str, str]


@dataclass(slots=True)
class Keys:
    """SKUs of products, (SKU, warehouse) of stock, ids of orders."""

    skus: set[str] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)
    order_ids: set[UUID] = field(default_factory=set)


@dataclass(slots=True)
class State:
    """Listings by SKU, stock levels by (SKU, warehouse), sales by order id."""

    listings: dict[str, Listing] = field(default_factory=dict)
    levels: dict[Place, StockLevel] = field(default_factory=dict)
    sales: dict[UUID, Sale] = field(default_factory=dict)


def keys_of(events: Iterable[AnyEvent]) -> Keys:
    """The rows that must be at hand before `events` are applied."""
    keys = Keys()
    for event in events:
        if type(event) in listing.EVENT_TYPES:
            keys.skus.add(_sku(event))
        elif type(event) in stock_level.EVENT_TYPES:
            keys.places.add(_place(event))
        elif type(event) in sale.EVENT_TYPES:
            keys.order_ids.add(event.originator_id)
    return keys


def evolve(before: State, events: Iterable[AnyEvent]) -> State:
    """The rows after `events`, in their order; `before` is left as it is. Other kinds of event change nothing.

    Raises VersionGap.
    """
    after = State(dict(before.listings), dict(before.levels), dict(before.sales))
    for event in events:
        if type(event) in listing.EVENT_TYPES:
            sku = _sku(event)
            after.listings[sku] = listing.evolve(after.listings.get(sku), event)
        elif type(event) in stock_level.EVENT_TYPES:
            place = _place(event)
            after.levels[place] = stock_level.evolve(after.levels.get(place), event)
        elif type(event) in sale.EVENT_TYPES:
            order_id = event.originator_id
            after.sales[order_id] = sale.evolve(after.sales.get(order_id), event)
    return after


def _sku(event: Any) -> str:
    return str(event.sku)


def _place(event: Any) -> Place:
    return str(event.sku), str(event.warehouse_id)
