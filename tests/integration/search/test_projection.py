from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.recorded import Recorded
from projections.search import SearchProjection, open_search_projection
from projections.versions import VersionGap
from projections.writes import CheckpointLost
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import small_shop
from tests.integration.search.test_postgres_contract import TABLES

# Everything that a search can see, and nothing that depends on how the events were cut into batches.
SEEN = {
    "products": """SELECT p.sku, p.version, p.listed, p.in_stock, p.is_service, p.price_minor, p.currency, p.units_sold,
                          p.rating_hundredths, p.review_count, p.added_at_microseconds, c.path, b.name
                     FROM search.products p LEFT JOIN search.categories c ON c.id = p.category_id
                     LEFT JOIN search.brands b ON b.id = p.brand_id ORDER BY p.sku""",
    "documents": """SELECT p.sku, v.vector::text, d.title, d.brand, d.category, d.description, d.images, d.attributes,
                           d.seller_id FROM search.documents d JOIN search.products p USING (id)
                      JOIN search.vectors v USING (id) ORDER BY p.sku""",
    "stock": "SELECT * FROM search.stock ORDER BY sku, warehouse_id",
    "orders": "SELECT * FROM search.orders ORDER BY order_id",
    "lexicon": "SELECT * FROM search.lexicon ORDER BY word",
    "suggestions": "SELECT text, products, units_sold FROM search.suggestions WHERE products <> 0 ORDER BY text",
    "changed": "SELECT p.sku FROM search.changes c JOIN search.products p USING (id) ORDER BY p.sku",
    "checkpoint": "SELECT projection, position FROM search.checkpoint",
}


class Tables:
    def __init__(self, url: str) -> None:
        self.url = url

    def seen(self) -> dict[str, list[tuple[Any, ...]]]:
        with psycopg.connect(self.url) as connection:
            return {name: connection.execute(query.encode()).fetchall() for name, query in SEEN.items()}

    def one(self, query: str) -> Any:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return row[0]

    def empty(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SET search_path = search; TRUNCATE {TABLES} RESTART IDENTITY".encode())


@pytest.fixture
def tables(module_database_url: str) -> Tables:
    tables = Tables(module_database_url)
    tables.empty()
    return tables


@pytest.fixture
async def projection(tables: Tables) -> AsyncIterator[SearchProjection]:
    async with open_search_projection(tables.url, Shop()) as projection:
        yield projection


async def start_again(projection: SearchProjection, tables: Tables) -> None:
    tables.empty()
    assert await projection.checkpoint() == 0


async def test_begins_at_nothing(projection: SearchProjection) -> None:
    assert projection.name == "search"
    assert await projection.checkpoint() == 0


async def test_comes_to_the_position_it_was_told(projection: SearchProjection) -> None:
    shop = small_shop()
    await projection.apply(shop.history, shop.position)
    assert await projection.checkpoint() == shop.position
    await projection.apply([], shop.position + 100)
    assert await projection.checkpoint() == shop.position + 100


async def test_what_was_applied_before_changes_nothing(projection: SearchProjection, tables: Tables) -> None:
    shop = small_shop()
    await projection.apply(shop.history, shop.position)
    before = tables.seen()
    await projection.apply(shop.history, shop.position)
    await projection.apply(shop.history[3:9], shop.history[8].position)
    await projection.apply([], 0)
    assert tables.seen() == before


async def test_a_batch_that_reaches_back_is_applied_from_the_checkpoint_on(
    projection: SearchProjection, tables: Tables
) -> None:
    shop = small_shop()
    half = shop.history[:12]
    await projection.apply(half, half[-1].position)
    await projection.apply(shop.history, shop.position)
    overlapping = tables.seen()
    await start_again(projection, tables)
    await projection.apply(shop.history, shop.position)
    assert tables.seen() == overlapping


async def test_versions_hold_even_when_the_checkpoint_is_lost(projection: SearchProjection, tables: Tables) -> None:
    shop = small_shop()
    await projection.apply(shop.history, shop.position)
    before = tables.seen()
    with psycopg.connect(tables.url, autocommit=True) as connection:
        connection.execute("DELETE FROM search.checkpoint")
    with pytest.raises(CheckpointLost) as lost:
        await projection.apply([], shop.position + 1)
    assert lost.value.held_position == await projection.checkpoint() == 0
    await projection.apply(shop.history, shop.position)
    assert tables.seen() == before


async def test_a_gap_in_a_stream_is_an_error_and_writes_nothing(projection: SearchProjection, tables: Tables) -> None:
    shop = Shop()
    shop.add("a", "Thing")
    shop.add("b", "Thing")
    shop.reprice("b", 2)
    shop.reprice("b", 3)
    missing = [*shop.history[:2], shop.history[3]]
    with pytest.raises(VersionGap):
        await projection.apply(missing, shop.position)
    assert await projection.checkpoint() == 0
    assert tables.seen()["products"] == []
    await projection.apply(shop.history, shop.position)
    assert tables.one("SELECT price_minor FROM search.products WHERE sku = 'b'") == 3


@pytest.mark.parametrize("left_out", [{1}, {1, 2}, {0, 1, 2}, {3}, {1, 3}])
async def test_a_gap_is_filled_from_the_stream(tables: Tables, left_out: set[int]) -> None:
    shop = Shop()
    shop.add("a", "Red lamp")
    shop.reprice("a", 2)
    shop.revise("a", "Blue lamp")
    shop.reprice("a", 4)
    shop.rate("a", 400)
    shop.add("b", "Thing")
    came = [recorded for number, recorded in enumerate(shop.history) if number not in left_out]
    async with open_search_projection(tables.url, shop) as projection:
        await projection.apply(shop.history, shop.position)
        whole = tables.seen()
        await start_again(projection, tables)
        await projection.apply(came, shop.position)
    assert tables.seen() == whole


async def test_a_stream_is_repaired_from_its_events(tables: Tables) -> None:
    shop = Shop()
    shop.add("a", "Red lamp")
    shop.reprice("a", 2)
    async with open_search_projection(tables.url, shop) as projection:
        await projection.apply(shop.history, shop.position)
        whole = tables.seen()
        await start_again(projection, tables)
        await projection.apply(shop.history[:1], shop.position)
        assert tables.seen() != whole
        for _ in range(2):
            await projection.repair(shop.history[0].event.originator_id)
            assert tables.seen() == whole


async def test_events_of_other_kinds_change_nothing_but_the_position(
    projection: SearchProjection, tables: Tables
) -> None:
    shop = Shop()
    shop.add("a", "Thing")
    shop.sell("o", a=1)
    await projection.apply(shop.history, shop.position)
    before = tables.seen()
    packed = len(shop.history)
    shop.pack("o")
    await projection.apply(shop.history[packed:], shop.position)
    after = tables.seen()
    assert after.pop("checkpoint") == [("search", shop.position)]
    del before["checkpoint"]
    assert after == before


async def test_in_stock_follows_all_warehouses(projection: SearchProjection, tables: Tables) -> None:
    shop = Shop()
    shop.add("a", "Thing")
    states: list[bool] = []

    async def then() -> None:
        await projection.apply(shop.history, shop.position)
        states.append(tables.one("SELECT in_stock FROM search.products WHERE sku = 'a'"))

    await then()
    shop.receive("a", 2, "LON")
    await then()
    shop.reserve("a", 2, "LON")
    await then()
    shop.receive("a", 1, "MAN")
    await then()
    shop.adjust("a", -1, "MAN")
    await then()
    shop.release("a", 2, "LON")
    await then()
    shop.reserve("a", 2, "LON")
    shop.commit("a", 2, "LON")
    await then()
    shop.restock("a", 1, "LON")
    await then()
    assert states == [False, True, False, True, False, True, False, True]


async def test_stock_that_came_before_its_product_counts(projection: SearchProjection, tables: Tables) -> None:
    shop = Shop()
    shop.receive("a", 2)
    shop.sell("o", a=1)
    await projection.apply(shop.history, shop.position)
    assert tables.seen()["documents"] == []
    before = len(shop.history)
    shop.add("a", "Thing")
    await projection.apply(shop.history[before:], shop.position)
    ((sku, *_),) = tables.seen()["documents"]
    assert sku == "a"
    assert tables.one("SELECT in_stock AND listed AND units_sold = 1 FROM search.products WHERE sku = 'a'")


async def test_the_lexicon_counts_the_listed_products_that_have_a_word(
    projection: SearchProjection, tables: Tables
) -> None:
    shop = Shop()
    shop.add("a", "Red lamp", category=["Home"], brand="Red")
    shop.add("b", "Red chair", category=["Home"])
    shop.add("c", "Blue chair", category=["Garden"])
    shop.revise("b", "Green chair")
    shop.deactivate("c")
    await projection.apply(shop.history, shop.position)
    assert dict(tables.seen()["lexicon"]) == {"red": 1, "lamp": 1, "home": 2, "green": 1, "chair": 1}


async def test_a_nul_in_a_title_is_a_gap_and_a_backslash_stays(projection: SearchProjection, tables: Tables) -> None:
    shop = Shop()
    shop.add("a", "Red\x00lamp", description="C:\\u0000 \\\x00 \u2028 \U0001f525 %s")
    await projection.apply(shop.history, shop.position)
    assert tables.one("SELECT title FROM search.documents") == "Red lamp"
    assert tables.one("SELECT description FROM search.documents") == "C:\\u0000 \\  \u2028 \U0001f525 %s"


async def test_two_projections_at_once_apply_each_event_once(projection: SearchProjection, tables: Tables) -> None:
    shop = small_shop()
    await asyncio.gather(*(projection.apply(shop.history, shop.position) for _ in range(4)))
    once = tables.seen()
    await start_again(projection, tables)
    await projection.apply(shop.history, shop.position)
    assert tables.seen() == once


DEEDS = ["revise", "reprice", "rate", "hide", "receive", "submit", "place", "fail", "cancel", "return"]


def history(deeds: list[tuple[str, str]]) -> list[Recorded]:
    """Two products, and what is done with them, as far as a shop allows it at that moment."""
    shop = Shop()
    shop.add("a", "Red lamp")
    shop.add("b", "Red-hot café", brand="B")
    shop.receive("a", 5)
    hidden: set[str] = set()
    submitted: list[str] = []
    placed: list[str] = []
    for number, (deed, sku) in enumerate(deeds):
        match deed:
            case "revise":
                shop.revise(sku, "Green lamp" if number % 2 else "Red chair", category=("Home", "New"))
            case "reprice":
                shop.reprice(sku, number)
            case "rate":
                shop.rate(sku, 100 + number, reviews=number % 2)
            case "hide":
                (shop.activate if sku in hidden else shop.deactivate)(sku)
                hidden ^= {sku}
            case "receive":
                shop.receive(sku, 1, "MAN" if number % 2 else "LON")
            case "submit":
                shop.submit(f"o{number}", **{sku: 2})
                submitted.append(f"o{number}")
            case "place" if submitted:
                shop.place(submitted[-1])
                placed.append(submitted.pop())
            case "fail" if submitted:
                shop.fail_payment(submitted.pop())
            case "cancel" if placed:
                shop.cancel(placed.pop())
            case "return" if placed:
                order = placed.pop()
                shop.request_return(order, "r", **{sku: 1})
                shop.receive_return(order, "r")
    return shop.history


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.sampled_from("ab")), max_size=15),
    windows=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=30),
)
async def test_however_it_is_batched_and_redelivered_the_tables_are_the_same(
    projection: SearchProjection, tables: Tables, deeds: list[tuple[str, str]], windows: list[tuple[int, int]]
) -> None:
    recorded = history(deeds)
    await start_again(projection, tables)
    await projection.apply(recorded, recorded[-1].position)
    whole = tables.seen()
    await start_again(projection, tables)
    done = 0
    for back, forward in [*windows, (0, len(recorded))]:
        batch = recorded[max(0, done - back) : done + forward]
        if batch:
            await projection.apply(batch, batch[-1].position)
        done = min(len(recorded), done + forward)
    assert tables.seen() == whole
