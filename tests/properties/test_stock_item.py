"""One SKU in one warehouse, whatever the order of commands."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.aggregates import StockItem
from domain.errors import BelowReserved, InsufficientStock, ReservationEnded, RuleBroken
from domain.events.stock import StockCommitted, StockReleased, StockReservationExpired, StockReserved
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import START, cause

ENDINGS = (StockReleased, StockReservationExpired, StockCommitted)
quantities = st.integers(1, 8)
minutes = st.integers(0, 30)
reservation_ids = st.sampled_from(["r1", "r2", "r3", "r4"])


def ensure_invariants(item: StockItem) -> None:
    assert item.reserved == sum(held.quantity for held in item.reservations.values())
    assert all(held.quantity > 0 for held in item.reservations.values())
    assert item.available == item.on_hand - item.reserved
    assert item.available >= 0
    assert item.committed >= 0


class StockItemMachine(RuleBasedStateMachine):
    """The model is what a clerk with pencil and paper would keep."""

    def __init__(self) -> None:
        super().__init__()
        self.item = LiveAggregate(StockItem.open("lamp", "north", cause()))
        self.came_in = 0
        self.sold = 0
        self.held: dict[str, tuple[int, datetime]] = {}

    @property
    def free(self) -> int:
        return self.came_in - self.sold - sum(quantity for quantity, _ in self.held.values())

    @rule(quantity=st.integers(-1, 12))
    def receive(self, quantity: int) -> None:
        outcome = self.item.when(lambda item: item.receive(quantity, cause()))
        if quantity < 1:
            outcome.then_refused(RuleBroken, quantity=quantity)
        else:
            self.came_in += quantity

    @rule(delta=st.integers(-12, 12))
    def adjust(self, delta: int) -> None:
        outcome = self.item.when(lambda item: item.adjust(delta, "count", cause()))
        if self.free + delta < 0:
            outcome.then_refused(BelowReserved, quantity_delta=delta)
        elif delta == 0:
            outcome.then_nothing()
        else:
            self.came_in += delta

    @rule(reservation_id=reservation_ids, quantity=st.integers(0, 8), lasts=minutes)
    def reserve(self, reservation_id: str, quantity: int, lasts: int) -> None:
        expires_at = START + timedelta(minutes=lasts)
        outcome = self.item.when(lambda item: item.reserve(reservation_id, quantity, expires_at, cause()))
        if quantity < 1 or reservation_id in self.held:
            outcome.then_refused(RuleBroken)
        elif quantity > self.free:
            outcome.then_refused(InsufficientStock, requested=quantity, available=self.free)
        else:
            self.held[reservation_id] = (quantity, expires_at)

    @rule(reservation_id=reservation_ids)
    def release(self, reservation_id: str) -> None:
        outcome = self.item.when(lambda item: item.release(reservation_id, cause()))
        if self.held.pop(reservation_id, None) is None:
            outcome.then_refused(ReservationEnded, reservation_id=reservation_id)

    @rule(reservation_id=reservation_ids, at=minutes)
    def expire(self, reservation_id: str, at: int) -> None:
        outcome = self.item.when(lambda item: item.expire(reservation_id, cause(at)))
        if reservation_id not in self.held:
            outcome.then_refused(ReservationEnded, reservation_id=reservation_id)
        elif START + timedelta(minutes=at) < self.held[reservation_id][1]:
            outcome.then_refused(RuleBroken, reservation_id=reservation_id)
        else:
            del self.held[reservation_id]

    @rule(reservation_id=reservation_ids)
    def commit(self, reservation_id: str) -> None:
        outcome = self.item.when(lambda item: item.commit(reservation_id, cause()))
        if reservation_id in self.held:
            self.sold += self.held.pop(reservation_id)[0]
        else:
            outcome.then_refused(ReservationEnded, reservation_id=reservation_id)

    @rule(quantity=quantities)
    def restock(self, quantity: int) -> None:
        outcome = self.item.when(lambda item: item.restock(quantity, "order-1", cause()))
        if quantity > self.sold:
            outcome.then_refused(RuleBroken)
        else:
            self.sold -= quantity

    @invariant()
    def says_what_the_clerk_says(self) -> None:
        item = self.item.now
        assert item.available == self.free
        assert item.committed == self.sold
        assert item.on_hand + item.committed == self.came_in
        assert {i: (held.quantity, held.expires_at) for i, held in item.reservations.items()} == self.held
        assert all(item.holds(reservation_id) for reservation_id in self.held)

    @invariant()
    def every_reservation_ended_at_most_once(self) -> None:
        for reservation_id in ("r1", "r2", "r3", "r4"):
            own = [past for past in self.item.past if getattr(past, "reservation_id", None) == reservation_id]
            # Held, ended, held, ended: an end answers the hold before it, with the same units.
            for n, past in enumerate(own):
                assert isinstance(past, StockReserved if n % 2 == 0 else ENDINGS)
                assert n % 2 == 0 or past.quantity == own[n - 1].quantity  # type: ignore[union-attr]
            assert (len(own) % 2 == 1) == (reservation_id in self.held)

    @invariant()
    def holds_now_and_after_a_replay(self) -> None:
        ensure_invariants(self.item.now)
        self.item.ensure_replay_is_the_same()

    def teardown(self) -> None:
        self.item.ensure_of_every_prefix(ensure_invariants)


TestStockItem = StockItemMachine.TestCase
