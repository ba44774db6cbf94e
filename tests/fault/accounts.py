"""The sums of one run: what came in, what was sold, what is owed; by the log, and as its clients were told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from domain.aggregates import Order, Receipt, StockItem
from domain.events import AnyEvent, Recorded
from domain.events.order import OrderSubmitted
from domain.events.receipt import ReceiptOpened
from domain.events.stock import StockAdjusted, StockOpened, StockReceived
from domain.identity import receipt_stream, stock_stream
from tests.fault.records import Purchase, Records
from tests.fault.shopping import WAREHOUSE


@dataclass
class Accounts:
    """The whole log, by stream."""

    streams: Mapping[UUID, list[AnyEvent]]
    orders: dict[str, Order] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    """The order of each Idempotency-Key."""

    @classmethod
    def of(cls, log: Sequence[Recorded]) -> Accounts:
        streams: dict[UUID, list[AnyEvent]] = defaultdict(list)
        for recorded in log:
            streams[recorded.event.originator_id].append(recorded.event)
        accounts = cls(streams)
        for events in streams.values():
            first = events[0]
            if isinstance(first, OrderSubmitted):
                order = Order.replay(events)
                accounts.orders[order.order_id] = order
            elif isinstance(first, ReceiptOpened):
                accounts.by_key[first.idempotency_key] = first.order_id
        return accounts

    def ensure_ended(self, records: Records) -> None:
        """Every checkout of the run is placed, failed or cancelled, and nothing is held. Raises AssertionError."""
        for purchase in records.purchases:
            order = self.order_of(purchase)
            assert order is None or order.standing != "pending_payment", f"{purchase.key} came to no end: {order}"
        for sku in records.skus:
            stock = self._stock(sku)
            assert (stock.reserved, stock.reservations) == (0, {}), f"{sku} is held: {stock.reservations}"

    def ensure_sums(self, records: Records) -> None:
        """Units received = on hand + sold; sold = what standing orders have bought. Raises AssertionError."""
        for sku in records.skus:
            stock, events = self._stock(sku), self.streams[stock_stream(sku, WAREHOUSE)]
            received = sum(event.quantity for event in events if isinstance(event, StockReceived))
            counted = sum(event.quantity_delta for event in events if isinstance(event, StockAdjusted))
            bought = sum(
                purchase.items.get(sku, 0)
                for purchase in records.purchases
                if (order := self.order_of(purchase)) is not None and order.standing == "placed"
            )
            assert stock.on_hand >= 0
            assert received + counted == stock.on_hand + bought, f"{sku}: {received} {counted} {stock.on_hand} {bought}"
            assert stock.committed == bought, f"{sku}: {stock.committed} sold, and {bought} bought"

    def ensure_as_told(self, records: Records) -> None:
        """What clients know of their orders is what the log has, answers to the letter. Raises AssertionError."""
        for purchase in records.purchases:
            order, answer = self.order_of(purchase), purchase.answer
            assert answer is not None, f"{purchase.key} was never answered"
            receipt = self._receipt(purchase)
            assert receipt.body is not None
            told, kept = (answer.status, answer.body), (receipt.status, json.loads(receipt.body))
            assert told == kept, f"{purchase.key} was told {told}, and on record is {kept}"
            ends = {"placed": "placed", "failed": "payment_failed", "cancelled": "cancelled"}
            standing = order.standing if order is not None else None
            assert standing == ends.get(purchase.outcome), f"{purchase.key}: told {purchase.outcome}, is {standing}"
            if order is not None:
                bought = {line.product_id: line.quantity for line in order.lines}
                assert bought == purchase.items, f"{purchase.key} wanted {purchase.items}, and has {bought}"

    def due(self, records: Records) -> dict[str, int]:
        """What each order of the run owes, in minor units: all of it, or nothing where it does not stand."""
        found: dict[str, int] = {}
        for purchase in records.purchases:
            order = self.order_of(purchase)
            if order is not None:
                found[order.order_id] = order.totals.total.amount if order.standing == "placed" else 0
        return found

    def ensure_shown(self, records: Records, shown: Mapping[str, int | str]) -> None:
        """The pages say what the log says. Raises AssertionError."""
        for sku in records.skus:
            assert shown[sku] == self._stock(sku).available, f"{sku}: {shown[sku]} shown"
        for purchase in records.purchases:
            order = self.order_of(purchase)
            assert order is None or shown[order.order_id] == order.status, f"{purchase.key}: {shown[order.order_id]}"

    def order_of(self, purchase: Purchase) -> Order | None:
        """None where it was refused."""
        return self.orders.get(self.by_key.get(purchase.key, ""))

    def _stock(self, sku: str) -> StockItem:
        events = self.streams[stock_stream(sku, WAREHOUSE)]
        assert isinstance(events[0], StockOpened)
        return StockItem.replay(events)

    def _receipt(self, purchase: Purchase) -> Receipt:
        return Receipt.replay(self.streams[receipt_stream(f"customer:{purchase.who}", purchase.key)])
