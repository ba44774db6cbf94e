"""An order as the counters see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from domain.events import AnyEvent
from domain.events.order import (
    OrderCancelled,
    OrderPaymentCaptured,
    OrderPaymentReleased,
    OrderPlaced,
    OrderRefunded,
    OrderSubmitted,
    ReturnReceived,
    ReturnRequested,
    ShipmentDelivered,
    ShipmentPacked,
    ShipmentShipped,
)

# A large order says little about what goes together, and would cost the square of its lines.
LINES_LIMIT_COUNT: Final = 50
# Any of these may say, of an order of which nothing was heard, that it has been placed.
FOLLOWS_PLACING: Final[frozenset[type]] = frozenset(
    {
        OrderPlaced,
        OrderPaymentCaptured,
        OrderPaymentReleased,
        ShipmentPacked,
        ShipmentShipped,
        ShipmentDelivered,
        OrderCancelled,
        ReturnRequested,
        ReturnReceived,
        OrderRefunded,
    }
)


@dataclass(frozen=True, slots=True)
class Sale:
    """`skus` are the distinct goods of its first lines, in their order. Services say nothing: they go with anything."""

    order_id: UUID
    placed_at: datetime
    skus: tuple[str, ...]

    @property
    def pairs_count(self) -> int:
        """Both ways."""
        return len(self.skus) * (len(self.skus) - 1)


def sale_of(submitted: OrderSubmitted, placed_at: datetime) -> Sale:
    goods = [line.product_id for line in submitted.lines[:LINES_LIMIT_COUNT] if line.kind == "goods"]
    return Sale(submitted.originator_id, placed_at, tuple(dict.fromkeys(goods)))


def read_sale(stream: Iterable[AnyEvent]) -> Sale | None:
    """Of the beginning of an order's stream; None when it was not placed there."""
    submitted: OrderSubmitted | None = None
    for event in stream:
        if isinstance(event, OrderSubmitted):
            submitted = event
        elif isinstance(event, OrderPlaced) and submitted is not None:
            return sale_of(submitted, event.timestamp)
    return None
