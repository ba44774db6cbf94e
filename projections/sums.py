"""What the events of a view add up to, without what makes the view: so that the one can be held against the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

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


# How many more units are on hand, and how many more are reserved, for each unit that a stock event is about.
_PER_UNIT: Final[Mapping[str, tuple[int, int]]] = {
    StockOpened.TOPIC: (0, 0),
    StockReceived.TOPIC: (1, 0),
    StockRestocked.TOPIC: (1, 0),
    StockAdjusted.TOPIC: (1, 0),
    StockReserved.TOPIC: (0, 1),
    StockReleased.TOPIC: (0, -1),
    StockReservationExpired.TOPIC: (0, -1),
    StockCommitted.TOPIC: (-1, -1),
}


class _Units(Struct):
    """What counts of the JSON of a stock event. It has one of them, or none."""

    quantity: int = 0
    quantity_delta: int = 0


_decode = msgspec.json.Decoder(_Units).decode


def units_moved(topic: str, state: bytes) -> tuple[int, int]:
    """How many units more are on hand, and how many more are reserved, after a stock event, given its JSON.

    Raises KeyError for another topic, msgspec.MsgspecError for what is no JSON object. What lacks its quantity counts
    as nothing: it is no event, and whoever makes the view of it has refused it.
    """
    on_hand, reserved = _PER_UNIT[topic]
    moved = _decode(state)
    units = moved.quantity + moved.quantity_delta
    return on_hand * units, reserved * units
