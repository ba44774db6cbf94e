from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.aggregates.base import EventSourced, evolves
from domain.errors import BelowReserved, InsufficientStock, ReservationEnded, RuleBroken
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
from domain.identity import stock_stream
from domain.values import Cause


@dataclass(frozen=True, slots=True)
class Reservation:
    quantity: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StockState:
    sku: str
    warehouse_id: str
    on_hand: int
    reserved: int
    committed: int
    reservations: dict[str, Reservation]


class StockItem(EventSourced):
    """One SKU in one warehouse: `on_hand` units, `reserved` of them spoken for; `committed` ones are sold and gone.

    Always: available = on_hand - reserved >= 0. A reservation is held until it is released, expired or committed, once.
    """

    TOPIC = "stock"
    STATE = StockState

    @classmethod
    def open(cls, sku: str, warehouse_id: str, cause: Cause) -> Self:
        return cls._start(StockOpened, stock_stream(sku, warehouse_id), cause, sku=sku, warehouse_id=warehouse_id)

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    def receive(self, quantity: int, cause: Cause) -> None:
        _ensure_positive(quantity)
        self._trigger(StockReceived, cause, **self._place, quantity=quantity)

    def adjust(self, quantity_delta: int, reason: str, cause: Cause) -> None:
        """A count found more or fewer. Raises BelowReserved when what is reserved would no longer be there."""
        if self.available + quantity_delta < 0:
            raise BelowReserved(self.sku, self.warehouse_id, self.on_hand, self.reserved, quantity_delta)
        if quantity_delta != 0:
            self._trigger(StockAdjusted, cause, **self._place, quantity_delta=quantity_delta, reason=reason)

    def reserve(self, reservation_id: str, quantity: int, expires_at: datetime, cause: Cause) -> None:
        """Raises InsufficientStock."""
        _ensure_positive(quantity)
        if reservation_id in self.reservations:
            raise RuleBroken(f"Reservation {reservation_id!r} is held already.", reservation_id=reservation_id)
        if quantity > self.available:
            raise InsufficientStock(self.sku, quantity, self.available)
        self._trigger(
            StockReserved,
            cause,
            **self._place,
            reservation_id=reservation_id,
            quantity=quantity,
            expires_at=expires_at,
        )

    def release(self, reservation_id: str, cause: Cause) -> None:
        """Raises ReservationEnded."""
        self._trigger(StockReleased, cause, **self._place, **self._held(reservation_id))

    def expire(self, reservation_id: str, cause: Cause) -> None:
        """Raises ReservationEnded; RuleBroken while its time has not run out."""
        held = self._held(reservation_id)
        if cause.at < self.reservations[reservation_id].expires_at:
            raise RuleBroken(f"Reservation {reservation_id!r} has time left.", reservation_id=reservation_id)
        self._trigger(StockReservationExpired, cause, **self._place, **held)

    def commit(self, reservation_id: str, cause: Cause) -> None:
        """Raises ReservationEnded."""
        self._trigger(StockCommitted, cause, **self._place, **self._held(reservation_id))

    def restock(self, quantity: int, reference: str, cause: Cause) -> None:
        """Sold units come back. Raises RuleBroken when more would come back than ever went."""
        _ensure_positive(quantity)
        if quantity > self.committed:
            raise RuleBroken(f"{self.committed} units of {self.sku!r} are out; {quantity} cannot come back.")
        self._trigger(StockRestocked, cause, **self._place, quantity=quantity, reference=reference)

    def holds(self, reservation_id: str) -> bool:
        return reservation_id in self.reservations

    @property
    def _place(self) -> dict[str, str]:
        return {"sku": self.sku, "warehouse_id": self.warehouse_id}

    def _held(self, reservation_id: str) -> dict[str, str | int]:
        reservation = self.reservations.get(reservation_id)
        if reservation is None:
            raise ReservationEnded(reservation_id)
        return {"reservation_id": reservation_id, "quantity": reservation.quantity}

    @evolves(StockOpened)
    def _opened(self, event: StockOpened) -> None:
        self.sku = event.sku
        self.warehouse_id = event.warehouse_id
        self.on_hand = 0
        self.reserved = 0
        self.committed = 0
        self.reservations: dict[str, Reservation] = {}

    @evolves(StockReceived)
    def _received(self, event: StockReceived) -> None:
        self.on_hand += event.quantity

    @evolves(StockAdjusted)
    def _adjusted(self, event: StockAdjusted) -> None:
        self.on_hand += event.quantity_delta

    @evolves(StockReserved)
    def _reserved(self, event: StockReserved) -> None:
        self.reservations[event.reservation_id] = Reservation(event.quantity, event.expires_at)
        self.reserved += event.quantity

    @evolves(StockReleased)
    def _released(self, event: StockReleased) -> None:
        del self.reservations[event.reservation_id]
        self.reserved -= event.quantity

    @evolves(StockReservationExpired)
    def _expired(self, event: StockReservationExpired) -> None:
        del self.reservations[event.reservation_id]
        self.reserved -= event.quantity

    @evolves(StockCommitted)
    def _committed(self, event: StockCommitted) -> None:
        del self.reservations[event.reservation_id]
        self.reserved -= event.quantity
        self.on_hand -= event.quantity
        self.committed += event.quantity

    @evolves(StockRestocked)
    def _restocked(self, event: StockRestocked) -> None:
        self.on_hand += event.quantity
        self.committed -= event.quantity


def _ensure_positive(quantity: int) -> None:
    if quantity <= 0:
        raise RuleBroken(f"A quantity is at least 1, not {quantity}.", quantity=quantity)
