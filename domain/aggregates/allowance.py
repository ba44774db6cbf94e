from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from domain.aggregates.base import EventSourced, evolves
from domain.errors import QuantityLimit, RuleBroken
from domain.events.allowance import AllowanceGivenBack, AllowanceOpened, AllowanceTaken
from domain.identity import allowance_stream
from domain.values import Cause


@dataclass(frozen=True, slots=True)
class AllowanceState:
    owner: str
    product_id: str
    taken: dict[str, int]


class Allowance(EventSourced):
    """What one shopper has had of a product with a limit per customer: units by order, sold or about to be."""

    TOPIC = "allowance"
    STATE = AllowanceState

    @classmethod
    def open(cls, owner: str, product_id: str, cause: Cause) -> Self:
        stream_id = allowance_stream(owner, product_id)
        return cls._start(AllowanceOpened, stream_id, cause, owner=owner, product_id=product_id)

    def taken_beside(self, order_id: str | None) -> int:
        """Units that all orders but this one have."""
        return sum(units for other, units in self.taken.items() if other != order_id)

    def take(self, order_id: str, quantity: int, limit: int, cause: Cause) -> None:
        """Raises QuantityLimit; RuleBroken when the order has taken before, or takes less than one unit."""
        if order_id in self.taken:
            raise RuleBroken(f"Order {order_id!r} has taken of this already.", order_id=order_id)
        if quantity <= 0:
            raise RuleBroken(f"A quantity is at least 1, not {quantity}.", quantity=quantity)
        taken = self.taken_beside(order_id)
        if taken + quantity > limit:
            raise QuantityLimit(self.product_id, quantity, limit, taken)
        self._trigger(AllowanceTaken, cause, order_id=order_id, quantity=quantity, limit=limit)

    def give_back(self, order_id: str, cause: Cause) -> None:
        """All that the order took; what it has not (any longer) is given back already: nothing happens."""
        if order_id in self.taken:
            self._trigger(AllowanceGivenBack, cause, order_id=order_id, quantity=self.taken[order_id])

    @evolves(AllowanceOpened)
    def _opened(self, event: AllowanceOpened) -> None:
        self.owner = event.owner
        self.product_id = event.product_id
        self.taken: dict[str, int] = {}

    @evolves(AllowanceTaken)
    def _taken(self, event: AllowanceTaken) -> None:
        self.taken[event.order_id] = event.quantity

    @evolves(AllowanceGivenBack)
    def _given_back(self, event: AllowanceGivenBack) -> None:
        del self.taken[event.order_id]
