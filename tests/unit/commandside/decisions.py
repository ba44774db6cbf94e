"""Small decisions on stock, for tests of what runs them."""

from __future__ import annotations

from datetime import timedelta

from commandside.aggregates import Aggregates
from commandside.event_store.memory import MemoryEventStore
from commandside.writer import Decision
from domain.aggregates import StockItem
from domain.errors import NotFound
from domain.events import AnyEvent
from domain.identity import stock_stream
from tests.strategies import START, cause

LATER = START + timedelta(hours=1)


def stock_at(aggregates: Aggregates, sku: str) -> StockItem:
    """Opened where there is none."""
    item = aggregates.find(StockItem, stock_stream(sku, "north"))
    if item is None:
        item = StockItem.open(sku, "north", cause())
        aggregates.add(item)
    return item


def receive(sku: str, quantity: int) -> Decision[int]:
    """Its result is what is on hand then."""

    def decide(aggregates: Aggregates) -> int:
        item = stock_at(aggregates, sku)
        item.receive(quantity, cause())
        return item.on_hand

    return decide


def reserve(sku: str, reservation_id: str, quantity: int = 1) -> Decision[int]:
    """Its result is what is available then. Raises NotFound where there is no stock."""

    def decide(aggregates: Aggregates) -> int:
        item = aggregates.find(StockItem, stock_stream(sku, "north"))
        if item is None:
            raise NotFound("stock", sku)
        item.reserve(reservation_id, quantity, LATER, cause())
        return item.available

    return decide


def poison(sku: str, quantity: int = 100) -> Decision[None]:
    """Triggers something, and then fails by a fault of its own."""

    def decide(aggregates: Aggregates) -> None:
        stock_at(aggregates, sku).receive(quantity, cause())
        raise ZeroDivisionError("poison")

    return decide


def on_hand(sku: str) -> Decision[int]:
    """Only looks; 0 where there is no stock."""

    def decide(aggregates: Aggregates) -> int:
        item = aggregates.find(StockItem, stock_stream(sku, "north"))
        return item.on_hand if item is not None else 0

    return decide


def received_elsewhere(store: MemoryEventStore, sku: str, quantity: int) -> list[AnyEvent]:
    """What another process would append now, to bring in these units; it opens the stock where there is none."""
    past = [recorded.event for recorded in store.log() if recorded.event.originator_id == stock_stream(sku, "north")]
    item = StockItem.replay(past) if past else StockItem.open(sku, "north", cause(actor="operator:bo"))
    item.receive(quantity, cause(actor="operator:bo"))
    return item.collect_events()


async def stored(store: MemoryEventStore, sku: str) -> StockItem:
    return StockItem.replay([recorded.event for recorded in await store.history(stock_stream(sku, "north"))])
