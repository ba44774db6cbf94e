"""Snapshots: a stream may begin with the latest one, and is the same with it as without."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from commandside.event_store import EventStore
from commandside.event_store.snapshots import SNAPSHOTTED, Snapshot
from domain.aggregates import Allowance, Cart, EventSourced, Product, StockItem
from domain.events import AnyEvent
from domain.identity import stock_stream
from domain.values import CartLine, Money, ProductDetails
from tests.strategies import START, cause

LAMP, CHAIR = stock_stream("lamp", "north"), stock_stream("chair", "north")
Stores = tuple[EventStore, EventStore]


def lamps(*quantities: int) -> list[AnyEvent]:
    item = StockItem.open("lamp", "north", cause())
    for quantity in quantities:
        item.receive(quantity, cause())
    item.reserve("r1", 1, START + timedelta(hours=1), cause(minutes=1))
    return item.collect_events()


def snapshot_of(events: list[AnyEvent]) -> Snapshot:
    return Snapshot.take(StockItem.replay(events))


def mutated(evolutions: object) -> EventSourced:
    aggregate: EventSourced | None = None
    for evolution in evolutions:  # type: ignore[attr-defined]
        aggregate = evolution.mutate(aggregate)
    assert aggregate is not None
    return aggregate


async def test_a_stream_begins_with_its_snapshot_and_the_events_after_it(stores: Stores) -> None:
    one, other = stores
    events = lamps(5, 3, 2)
    await one.append(events, {})
    await one.save_snapshot(snapshot_of(events[:3]))

    found = (await other.load({LAMP: 0}))[LAMP]

    assert found == [snapshot_of(events[:3]), *events[3:]]
    assert mutated(found) == StockItem.replay(events)


async def test_a_snapshot_of_the_whole_stream_is_all_there_is_to_load(stores: Stores) -> None:
    one, other = stores
    events = lamps(5)
    await one.append(events, {})
    await one.save_snapshot(snapshot_of(events))
    assert await other.load({LAMP: 0}) == {LAMP: [snapshot_of(events)]}


async def test_the_later_version_stays_whichever_is_saved_last(stores: Stores) -> None:
    one, other = stores
    events = lamps(5, 3, 2)
    await one.append(events, {})
    for version in (3, 4, 2, 4):
        await (one if version % 2 else other).save_snapshot(snapshot_of(events[:version]))
    assert (await one.load({LAMP: 0}))[LAMP] == [snapshot_of(events[:4]), *events[4:]]


async def test_a_snapshot_under_another_topic_is_passed_over(stores: Stores) -> None:
    """As a release finds it that came before, or after, the one that took it."""
    one, other = stores
    events = lamps(5, 3)
    await one.append(events, {})
    await one.save_snapshot(replace(snapshot_of(events), topic="stock.snapshot.v999"))
    assert await other.load({LAMP: 0}) == {LAMP: events}


async def test_a_stream_wanted_from_a_version_on_has_no_snapshot(stores: Stores) -> None:
    one, other = stores
    lamp = lamps(5, 3)
    chair = [replace(event, originator_id=CHAIR) for event in lamp]
    await one.append([*lamp, *chair], {})
    await one.save_snapshot(snapshot_of(lamp[:3]))
    await one.save_snapshot(snapshot_of(chair[:3]))

    assert await other.load({LAMP: 1}) == {LAMP: lamp[1:]}
    assert await other.load({LAMP: 1, CHAIR: 0}) == {LAMP: lamp[1:], CHAIR: [snapshot_of(chair[:3]), *chair[3:]]}
    assert await other.load({LAMP: len(lamp)}) == {}


async def test_the_history_has_no_snapshots(stores: Stores) -> None:
    one, other = stores
    events = lamps(5, 3)
    await one.append(events, {})
    await one.save_snapshot(snapshot_of(events))
    assert [recorded.event for recorded in await other.history(LAMP)] == events


async def test_what_the_aggregate_does_later_is_not_in_its_snapshot(stores: Stores) -> None:
    one, other = stores
    events = lamps(5)
    await one.append(events, {})
    item = StockItem.replay(events)
    taken = Snapshot.take(item)
    item.release("r1", cause())
    await one.save_snapshot(taken)
    assert mutated((await other.load({LAMP: 0}))[LAMP]) == StockItem.replay(events)


def a_product() -> Product:
    details = ProductDetails(
        title="A lamp – £",
        category=("Home", "Lamps"),
        attributes={"watts": 5, "dimmable": True, "lumens": 2.5, "colour": "red"},
        images=("https://example.org/lamp.jpg",),
    )
    product = Product.add("lamp", details, Money(1_999, "GBP"), cause())
    product.limit(3, cause())
    product.reprice(Money(999, "GBP"), cause(minutes=2))
    product.rate(450, 12, cause(minutes=3))
    return product


def a_cart() -> Cart:
    cart = Cart.open("customer:ada", cause())
    cart.add(CartLine("lamp", "Lamp", 2, Money(999, "GBP")), cause(minutes=2))
    cart.begin_checkout("order-1", cause(minutes=3))
    return cart


def an_item() -> StockItem:
    return StockItem.replay(lamps(5, 3))


def an_allowance() -> Allowance:
    allowance = Allowance.open("customer:ada", "lamp", cause())
    allowance.take("order-1", 2, 3, cause(minutes=1))
    return allowance


SAMPLES: list[EventSourced] = [a_product(), a_cart(), an_item(), an_allowance()]


def test_every_kind_that_has_snapshots_has_a_sample_here() -> None:
    assert {type(aggregate) for aggregate in SAMPLES} == set(SNAPSHOTTED)


@pytest.mark.parametrize("aggregate", SAMPLES, ids=lambda aggregate: type(aggregate).__name__)
async def test_it_comes_back_from_its_snapshot_alone(stores: Stores, aggregate: EventSourced) -> None:
    one, other = stores
    await one.save_snapshot(Snapshot.take(aggregate))
    aggregate.collect_events()

    restored = mutated((await other.load({aggregate.id: 0}))[aggregate.id])

    assert type(restored) is type(aggregate)
    assert vars(restored) == vars(aggregate)
    assert (restored.version, restored.created_on, restored.modified_on) == (
        aggregate.version,
        aggregate.created_on,
        aggregate.modified_on,
    )
