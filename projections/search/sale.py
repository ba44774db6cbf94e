"""What an order counts for in the sales of its products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from domain.events import AnyEvent
from domain.events.order import (
    OrderCancelled,
    OrderPaymentFailed,
    OrderPlaced,
    OrderSubmitted,
    ReturnReceived,
    ReturnRequested,
)
from domain.values import Item, OrderLine
from projections.versions import VersionGap

Units = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sale:
    """Units of the order per product, and per return those that are to go back; `returned` have."""

    order_id: UUID
    version: int
    units: Units
    status: Literal["submitted", "placed", "undone"] = "submitted"
    returns: Mapping[str, Units] = field(default_factory=dict)
    returned: tuple[str, ...] = ()

    def counted(self) -> Counter[str]:
        """Units sold per product: none before the order is placed or once it is cancelled."""
        sold: Counter[str] = Counter()
        if self.status == "placed":
            sold.update(self.units)
            for return_id in self.returned:
                sold.subtract(self.returns[return_id])
        return sold


def evolve(sale: Sale | None, event: AnyEvent) -> Sale:
    """The sale after `event`; as it is when that was applied before.

    The order's other events, its shipments', are not followed: only a missing first one is seen. Raises VersionGap.
    """
    if sale is None:
        if not isinstance(event, OrderSubmitted):
            raise VersionGap(event.originator_id, 0, event.originator_version)
        return Sale(event.originator_id, event.originator_version, _units(event.lines))
    if event.originator_version <= sale.version:
        return sale
    return replace(_CHANGES[type(event)](sale, event), version=event.originator_version)


def _placed(sale: Sale, _: OrderPlaced) -> Sale:
    return replace(sale, status="placed")


def _undone(sale: Sale, _: OrderCancelled | OrderPaymentFailed) -> Sale:
    return replace(sale, status="undone")


def _return_requested(sale: Sale, event: ReturnRequested) -> Sale:
    return replace(sale, returns={**sale.returns, event.return_id: _units(event.items)})


def _return_received(sale: Sale, event: ReturnReceived) -> Sale:
    return replace(sale, returned=(*sale.returned, event.return_id))


def _units(lines: Iterable[OrderLine | Item]) -> Units:
    units: Counter[str] = Counter()
    for line in lines:
        units[line.product_id] += line.quantity
    return dict(units)


_CHANGES: dict[type, Callable[[Sale, Any], Sale]] = {
    OrderPlaced: _placed,
    OrderPaymentFailed: _undone,
    OrderCancelled: _undone,
    ReturnRequested: _return_requested,
    ReturnReceived: _return_received,
}
EVENT_TYPES: frozenset[type] = frozenset({OrderSubmitted, *_CHANGES})
