"""Which orders were placed, in a run of the log's events."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from domain.events import AnyEvent
from domain.events.order import OrderPlaced, OrderSubmitted
from projections.signals.sale import FOLLOWS_PLACING, Sale, sale_of

# An order is placed seconds after it was submitted, but for the few whose payment takes longer: these are read again.
REMEMBERED_LIMIT_ORDERS: Final = 2_000


class Placings:
    """Remembers what was submitted until it is placed, for the orders that were submitted last."""

    def __init__(self) -> None:
        self._submitted: OrderedDict[UUID, OrderSubmitted] = OrderedDict()

    def read(self, events: Sequence[AnyEvent]) -> tuple[dict[UUID, Sale], list[UUID]]:
        """The sales, by order; and the other orders that have been placed, as these events say: their streams know."""
        placed: dict[UUID, Sale] = {}
        unknown: dict[UUID, None] = {}  # in the order in which they came
        for event in events:
            if isinstance(event, OrderSubmitted):
                self._remember(event)
            elif type(event) in FOLLOWS_PLACING and event.originator_id not in placed:
                submitted = self._submitted.get(event.originator_id)
                if isinstance(event, OrderPlaced) and submitted is not None:
                    placed[event.originator_id] = sale_of(submitted, event.timestamp)
                else:
                    unknown[event.originator_id] = None
        return placed, [order_id for order_id in unknown if order_id not in placed]

    def _remember(self, event: OrderSubmitted) -> None:
        self._submitted[event.originator_id] = event
        self._submitted.move_to_end(event.originator_id)
        if len(self._submitted) > REMEMBERED_LIMIT_ORDERS:
            self._submitted.popitem(last=False)
