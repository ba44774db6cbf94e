"""How much of one SKU one warehouse has. The levels of all warehouses together make a product's availability."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from domain.events import AnyEvent
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
from projections.versions import advance


class StockLevel(Struct, frozen=True):
    """Units that are there, and units of them that are spoken for."""

    version: int
    on_hand: int
    reserved: int

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


def evolve(level: StockLevel | None, event: AnyEvent) -> StockLevel:
    """The level after `event`; as it is when that was applied before. Raises VersionGap."""
    return advance(level, event, _opened, _CHANGES)


def _opened(event: StockOpened) -> StockLevel:
    return StockLevel(event.originator_version, on_hand=0, reserved=0)


def _came_in(level: StockLevel, event: StockReceived | StockRestocked) -> StockLevel:
    return replace(level, version=event.originator_version, on_hand=level.on_hand + event.quantity)


def _adjusted(level: StockLevel, event: StockAdjusted) -> StockLevel:
    return replace(level, version=event.originator_version, on_hand=level.on_hand + event.quantity_delta)


def _reserved(level: StockLevel, event: StockReserved) -> StockLevel:
    return replace(level, version=event.originator_version, reserved=level.reserved + event.quantity)


def _given_up(level: StockLevel, event: StockReleased | StockReservationExpired) -> StockLevel:
    return replace(level, version=event.originator_version, reserved=level.reserved - event.quantity)


def _committed(level: StockLevel, event: StockCommitted) -> StockLevel:
    return StockLevel(
        event.originator_version, on_hand=level.on_hand - event.quantity, reserved=level.reserved - event.quantity
    )


_CHANGES: dict[type, Callable[[StockLevel, Any], StockLevel]] = {
    StockReceived: _came_in,
    StockAdjusted: _adjusted,
    StockReserved: _reserved,
    StockReleased: _given_up,
    StockReservationExpired: _given_up,
    StockCommitted: _committed,
    StockRestocked: _came_in,
}
EVENT_TYPES: frozenset[type] = frozenset({StockOpened, *_CHANGES})
