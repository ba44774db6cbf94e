"""What the events of a view add up to, without what makes the view: so that the one can be held against the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from domain.events import AnyEvent
from domain.events.cart import CartOpened
from domain.events.order import OrderSubmitted
from domain.events.product import ProductAdded
from domain.events.stock import (
    StockAdjusted,
    StockCommitted,
    StockOpened,
    StockReceived,
    StockReleased,
    StockReservationExpired,
    StockReserved,
    StockRestocked,
)

# The topic of the one event that each stream of a view begins with.
FIRST_TOPICS: Final[Mapping[str, str]] = {
    "product": ProductAdded.TOPIC,
    "stock": StockOpened.TOPIC,
    "cart": CartOpened.TOPIC,
    "order": OrderSubmitted.TOPIC,
}


def units_moved(event: AnyEvent) -> tuple[int, int]:
    """How many units more are on hand, and how many more are reserved, after a stock event."""
    match event:
        case StockReceived() | StockRestocked():
            return event.quantity, 0
        case StockAdjusted():
            return event.quantity_delta, 0
        case StockReserved():
            return 0, event.quantity
        case StockReleased() | StockReservationExpired():
            return 0, -event.quantity
        case StockCommitted():
            return -event.quantity, -event.quantity
        case _:
            return 0, 0
