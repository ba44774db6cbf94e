"""What must be true of a log, whatever was killed while it was written: found out from its events alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from commandside.event_store.mapper import EventMapper
from domain.aggregates import StockItem
from domain.events import AnyEvent, Recorded
from domain.events.cart import CartCheckedOut, CartCheckoutAbandoned, CartCheckoutBegun, CartOpened, CartReopened
from domain.events.checkout import CheckoutCompleted, CheckoutDeclined, CheckoutExpired, CheckoutStarted
from domain.events.order import OrderPaymentFailed, OrderPlaced, OrderSubmitted
from domain.events.receipt import ReceiptAnswered, ReceiptOpened
from domain.events.stock import (
    StockCommitted,
    StockOpened,
    StockReceived,
    StockReleased,
    StockReservationExpired,
    StockReserved,
)

E = TypeVar("E", bound=AnyEvent)
BEGUN = (StockReserved, CartCheckoutBegun, OrderSubmitted, CheckoutStarted)
PLACED = (StockCommitted, CartCheckedOut, OrderPlaced, CheckoutCompleted)
FAILED = (
    StockReleased, StockReservationExpired, CartCheckoutAbandoned, OrderPaymentFailed, CheckoutDeclined,
    CheckoutExpired,
)  # fmt: skip


class Ledger:
    """A whole log, by what belongs together."""

    def __init__(self, log: Sequence[Recorded]) -> None:
        self.log = list(log)
        self.by_stream: dict[UUID, list[Recorded]] = defaultdict(list)
        self.by_cause: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in self.log:
            self.by_stream[recorded.event.originator_id].append(recorded)
            self.by_cause[recorded.event.causation_id].append(recorded)
        self.by_order = self._by_order()

    @property
    def placed_orders(self) -> set[str]:
        return {str(one.event.originator_id) for one in self.log if isinstance(one.event, OrderPlaced)}

    def order_of_key(self, owner: str, key: str) -> str | None:
        """The order that was begun, or refused, under this Idempotency-Key."""
        found = [
            one.event.order_id
            for one in self.log
            if isinstance(one.event, ReceiptOpened) and (one.event.owner, one.event.idempotency_key) == (owner, key)
        ]
        assert len(found) <= 1, f"{key} of {owner} was taken for two orders: {found}"
        return found[0] if found else None

    def ensure_whole(self) -> None:
        """Raises AssertionError for whatever is there in part, twice, out of order, or left undone."""
        for recorded in self.by_stream.values():
            versions = [one.event.originator_version for one in recorded]
            assert versions == list(range(1, len(versions) + 1)), f"a stream with the versions {versions}"
        self.ensure_orders_whole()
        self._ensure_carts_whole()
        self._ensure_sums()

    def ensure_orders_whole(self) -> None:
        """Each was begun in one append, and ended in one; with all that belongs to it, once."""
        for order_id, recorded in self.by_order.items():
            _ensure_order_whole(order_id, recorded)

    def _by_order(self) -> dict[str, list[Recorded]]:
        """Events that belong to an order, whichever stream they are in; receipts of orders that were refused too."""
        streams: dict[UUID, str] = {}
        for recorded in self.log:
            match recorded.event:
                case CheckoutStarted() | ReceiptOpened() as first:
                    streams[first.originator_id] = first.order_id
                case OrderSubmitted() as first:
                    streams[first.originator_id] = str(first.originator_id)
        found: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in self.log:
            event = recorded.event
            named = getattr(event, "order_id", None) or getattr(event, "reservation_id", None)
            kinds = (*BEGUN, *PLACED, *FAILED, ReceiptOpened, ReceiptAnswered)
            if isinstance(event, kinds):
                order_id = named or streams.get(event.originator_id)
                assert order_id is not None, f"{event} of a stream that has no beginning"
                found[order_id].append(recorded)
        return found

    def _ensure_carts_whole(self) -> None:
        for recorded in self.log:
            if isinstance(recorded.event, CartOpened | CartReopened):
                stream = self.by_stream[recorded.event.originator_id]
                version = recorded.event.originator_version
                assert len(stream) > version, f"{recorded} opened a cart, and put nothing in"
                _ensure_one_append([recorded, stream[version]])

    def _ensure_sums(self) -> None:
        sold: Counter[UUID] = Counter()
        for recorded in self.log:
            if isinstance(recorded.event, StockCommitted):
                sold[recorded.event.originator_id] += recorded.event.quantity
        for stream_id, stream in self.by_stream.items():
            events = [one.event for one in stream]
            if isinstance(events[0], StockOpened):
                item = StockItem.replay(events)
                received = sum(event.quantity for event in events if isinstance(event, StockReceived))
                assert (item.reserved, item.reservations) == (0, {}), f"{item.sku} is held by {item.reservations}"
                assert item.committed == sold[stream_id]
                assert item.on_hand == received - item.committed >= 0


def read_ledger(database_url: str) -> Ledger:
    mapper = EventMapper()
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT notification_id, originator_id, originator_version, topic, state FROM log.stored_events "
            "ORDER BY notification_id"
        ).fetchall()
    return Ledger([Recorded(row[0], mapper.to_domain_event(StoredEvent(*row[1:]))) for row in rows])


def _ensure_order_whole(order_id: str, recorded: list[Recorded]) -> None:
    opened, answered = _of((ReceiptOpened,), recorded), _of((ReceiptAnswered,), recorded)
    _one(ReceiptOpened, opened)
    answer = _one(ReceiptAnswered, answered)
    if not any(isinstance(one.event, (*BEGUN, *PLACED, *FAILED)) for one in recorded):
        assert answer.status == 409, "without a checkout there is nothing but a refusal to tell"
        _ensure_one_append([*opened, *answered])
        return
    begun = _of(BEGUN, recorded)
    started = _one(CheckoutStarted, begun)
    _one(OrderSubmitted, begun)
    _one(CartCheckoutBegun, begun)
    claims = Counter({(claim.sku, claim.warehouse_id): claim.quantity for claim in started.claims})
    assert _units(begun) == claims, f"order {order_id} claims {claims} and has reserved {_units(begun)}"
    _ensure_one_append([*begun, *opened])

    placed, failed = _of(PLACED, recorded), _of(FAILED, recorded)
    assert not (placed and failed), f"order {order_id} was placed, and failed"
    ended = placed or failed
    assert ended, f"order {order_id} came to no end"
    if placed:
        _one(OrderPlaced, placed)
        _one(CheckoutCompleted, placed)
        _one(CartCheckedOut, placed)
    else:
        _one(OrderPaymentFailed, failed)
        _one(CartCheckoutAbandoned, failed)
        assert len(_of((CheckoutDeclined, CheckoutExpired), failed)) == 1
    assert _units(ended) == claims, f"order {order_id} claims {claims} and came to {_units(ended)}"
    # It was answered then, or before: told that the payment is pending.
    _ensure_one_append(ended if answer.status == 202 else [*ended, *answered])


def _units(recorded: Iterable[Recorded]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for one in recorded:
        if isinstance(one.event, StockReserved | StockCommitted | StockReleased | StockReservationExpired):
            found[one.event.sku, one.event.warehouse_id] += one.event.quantity
    return found


def _ensure_one_append(recorded: list[Recorded]) -> None:
    """By one command, and with nobody else's between them: an append holds the table's lock."""
    positions = sorted(one.position for one in recorded)
    assert positions == list(range(positions[0], positions[0] + len(positions))), f"not of one append: {recorded}"
    assert len({one.event.causation_id for one in recorded}) == 1, f"not of one cause: {recorded}"


def _one(event_class: type[E], recorded: Iterable[Recorded]) -> E:
    found = [one.event for one in recorded if isinstance(one.event, event_class)]
    assert len(found) == 1, f"{len(found)} of {event_class.__name__}"
    return found[0]


def _of(classes: tuple[type[AnyEvent], ...], recorded: Iterable[Recorded]) -> list[Recorded]:
    return [one for one in recorded if isinstance(one.event, classes)]
