"""The demo shop: worth a look, and there once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from commandside.event_store.memory import MemoryEventStore
from counterfoil.demo.seeding import CATALOGUE, catalogue, seed
from domain.aggregates import StockItem
from domain.events.product import ProductAdded
from domain.events.stock import StockOpened
from domain.identity import product_stream

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_every_line_of_the_catalogue_is_a_product() -> None:
    rows = catalogue()
    assert len(rows) == len(CATALOGUE.read_text().splitlines()) == 60
    assert len({row.add.sku for row in rows}) == 60
    assert len({row.add.category[0] for row in rows}) == 8
    assert {row.add.price.currency for row in rows} == {"GBP"}
    assert all(row.add.description and row.add.brand and row.add.attributes for row in rows)
    assert all(row.rate is not None for row in rows if row.add.kind == "goods")
    assert not any(row.add.images for row in rows), "an image would be fetched from somebody else's server"


def test_there_is_something_of_everything_to_see() -> None:
    stock = {row.add.sku: sum(each.quantity for each in row.stock) for row in catalogue() if row.add.kind == "goods"}
    warehouses = Counter(len(row.stock) for row in catalogue())
    assert 1 <= sum(quantity == 0 for quantity in stock.values()) <= 2
    assert 3 <= sum(0 < quantity <= 5 for quantity in stock.values()) <= 8
    assert warehouses[1] >= 3, "orders of these and of those at the other warehouse come in two parcels"
    assert warehouses[2] >= 40
    assert sum(row.add.kind == "service" for row in catalogue()) == 1


async def test_an_empty_log_is_filled_at_one_stroke() -> None:
    appends: list[int] = []

    class Watched(MemoryEventStore):
        async def append(self, events, work, reads=None):  # type: ignore[no-untyped-def]
            appends.append(len(events))
            return await super().append(events, work, reads)

    store = Watched()
    assert await seed(store, NOW) == 60
    assert len(appends) == 1, "interrupted, all of it is there or nothing"
    added = [each.event for each in store.log() if isinstance(each.event, ProductAdded)]
    assert [event.sku for event in added] == [row.add.sku for row in catalogue()]
    wanted = {(row.add.sku, each.warehouse_id): each.quantity for row in catalogue() for each in row.stock}
    opened = [each.event for each in store.log() if isinstance(each.event, StockOpened)]
    for event in opened:
        history = [each.event for each in await store.history(event.originator_id)]
        assert StockItem.replay(history).on_hand == wanted.pop((event.sku, event.warehouse_id))
    assert wanted == {}


async def test_a_log_that_is_not_empty_is_left_alone() -> None:
    store = MemoryEventStore()
    await seed(store, NOW)
    position = await store.last_position()
    assert await seed(store, NOW) == 0
    assert await store.last_position() == position
    assert len(await store.history(product_stream(catalogue()[0].add.sku))) == 2
