"""A log whose events are compressed and encrypted is added up, and built from, as any other."""

from __future__ import annotations

from typing import Any

import pytest

from commandside.event_store.mapper import EventMapper
from commandside.event_store.postgres import PostgresEventStore
from counterfoil.settings import Settings
from counterfoil.stored_form import event_mapper
from projections.keys import Keys
from queryside.views import Views
from streams.log_pages import LogPages
from streams.postgres_streams import PostgresStreams
from streams.rebuild import Bounds, Rebuild
from streams.rebuild_check import log_sums
from streams.view_feeds import VIEWS
from tests.integration.readside.shop import cause, collected, product, stock
from tests.integration.rebuild.beside import Said, Stores
from tests.sealed import SEALED
from tests.strategies import START


@pytest.fixture(params=[{}, SEALED], ids=["plain", "sealed"])
def mapper(request: pytest.FixtureRequest) -> EventMapper:
    given: dict[str, Any] = request.param
    return event_mapper(Settings(**given))


async def test_stock_is_added_up_without_what_is_set_aside_and_built(stores: Stores, mapper: EventMapper) -> None:
    north, south = stock(quantity=10), stock(quantity=5, warehouse_id="south")
    north.reserve("order-1", 3, START, cause())
    north.commit("order-1", cause())
    south.reserve("order-2", 2, START, cause())
    south.adjust(-1, "counted", cause())
    events = PostgresEventStore(stores.database_url, mapper=mapper)
    try:
        await events.append(collected(product(), north, south), {})
    finally:
        events.close()
    log = LogPages(stores.pool, VIEWS["stock"](Keys()).event_types, mapper)
    position = await log.last_position()

    assert await log_sums("stock", log, position, ()) == {"streams": 2, "on hand": 11, "reserved": 2, "available": 9}
    assert await log_sums("stock", log, position, {south.id}) == {
        "streams": 1, "on hand": 7, "reserved": 0, "available": 7,
    }  # fmt: skip
    assert await log_sums("stock", log, 0, ()) == {"streams": 0, "on hand": 0, "reserved": 0, "available": 0}

    streams = PostgresStreams(stores.pool, mapper)
    bounds = Bounds(nobody_feeds_seconds=0.5)
    assert await Rebuild("stock", stores.client, log, streams, Said(), lambda: False, bounds).run()
    levels = await Views(stores.client).stock("lamp")
    assert {warehouse: level.available for warehouse, level in levels.items()} == {"north": 7, "south": 2}
