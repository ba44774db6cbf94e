"""The search tables are built again beside the live ones while the shop sells; a planted difference is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from counterfoil.processes.rebuild_search import EVENT_TYPES
from projections.search import SearchProjection, beside, open_search_projection
from projections.search.opensearch_client import open_opensearch
from projections.search.opensearch_feed import SearchFeed
from projections.search.opensearch_index import Names
from projections.search.opensearch_state import IndexState
from queryside.search import SearchQuery
from queryside.search.postgres import open_postgres_search
from streams.log_pages import LogPages
from streams.postgres_streams import PostgresStreams
from streams.rebuild import RebuildStopped
from streams.rebuild_search import SearchRebuild
from streams.verify_differences import Difference
from streams.verify_search import SearchVerification
from tests.integration.readside.shop import cause, order, product, stock
from tests.integration.rebuild.beside import Said, Stores
from tests.integration.rebuild.test_commands import Shell
from tests.waiting import eventually

SKUS = [f"lamp-{number}" for number in range(30)]
READ_PAUSE_SECONDS = 0.005


@asynccontextmanager
async def rebuilding(
    stores: Stores, said: Said | None = None, stop_after: int | None = None
) -> AsyncIterator[SearchRebuild]:
    """It is asked to stop at the `stop_after`-th window."""
    asked = iter(range(10**9))
    streams = PostgresStreams(stores.pool)
    async with open_search_projection(stores.database_url, streams, building=True) as projection:
        log = LogPages(stores.pool, EVENT_TYPES)
        yield SearchRebuild(
            stores.pool, log, projection, said or Said(), lambda: stop_after is not None and next(asked) >= stop_after
        )


async def differences(stores: Stores) -> list[Difference]:
    async with stores.pool.connection() as connection:
        verification = SearchVerification(connection, LogPages(stores.pool, EVENT_TYPES))
        return [found async for found in verification.differences()]


async def search_holds(stores: Stores, position: int) -> None:
    async def held() -> int:
        async with stores.pool.connection() as connection:
            return await beside.position(connection, "search")

    await eventually(held, lambda found: found >= position)


async def tables_id(stores: Stores) -> str:
    async with stores.pool.connection() as connection:
        ((found,),) = await (await connection.execute("SELECT tables_id::text FROM search.identity")).fetchall()
        return str(found)


async def execute(stores: Stores, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(stores.database_url, autocommit=True) as connection:
        await connection.execute(statement.encode())


async def a_shop(stores: Stores) -> int:
    shelves = [stock(sku, warehouse_id=warehouse_id) for sku in SKUS for warehouse_id in ("north", "south")]
    sold = [order("customer:ada", number, SKUS[number % 7]) for number in range(1, 20)]
    cancelled = order("customer:ada", 99, SKUS[0])
    cancelled.cancel(None, cause())
    return await stores.happened(*map(product, SKUS), *shelves, *sold, cancelled)


async def test_what_is_built_is_checked_and_live_and_followed_from_then_on(stores: Stores) -> None:
    said = Said()
    async with stores.projecting():
        await search_holds(stores, await a_shop(stores))
        before = await tables_id(stores)
        async with rebuilding(stores, said) as rebuild:
            assert await rebuild.run()
        assert await tables_id(stores) != before
        await search_holds(stores, await stores.happened(product("chair"), stock("chair")))
        assert await differences(stores) == []
    assert any("right" in line for line in said.lines)


async def test_while_it_is_built_the_shop_sells_and_every_search_is_answered_whole(stores: Stores) -> None:
    counts: list[int] = []
    reading = True

    async def read(engine: Any) -> None:
        while reading:
            found = await engine.search(SearchQuery(text="lamp"))
            counts.append(found.total)
            await asyncio.sleep(READ_PAUSE_SECONDS)

    async def sell() -> int:
        position = 0
        for number in range(100, 140):
            position = await stores.happened(order("customer:eve", number, SKUS[number % 5]))
        return position

    async with stores.projecting(), open_postgres_search(stores.database_url) as engine:
        await search_holds(stores, await a_shop(stores))
        readers = [asyncio.create_task(read(engine)) for _ in range(3)]
        selling = asyncio.create_task(sell())
        async with rebuilding(stores) as rebuild:
            assert await rebuild.run()
        await search_holds(stores, await selling)
        reading = False
        await asyncio.gather(*readers)
        assert await differences(stores) == []
    assert len(counts) > 20
    assert set(counts) == {len(SKUS)}, "0 wrong, 0 missing"


async def test_stopped_it_goes_on_where_it_was(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.rebuild_search.WINDOW_POSITIONS", 20)
    said = Said()
    async with stores.projecting():
        await search_holds(stores, await a_shop(stores))
        before = await tables_id(stores)
        async with rebuilding(stores, stop_after=3) as rebuild:
            assert not await rebuild.run()
        assert await tables_id(stores) == before
        async with rebuilding(stores, said) as rebuild:
            assert await rebuild.run()
        assert await differences(stores) == []
    assert said.lines[0] == "search: goes on from position 60."


async def test_there_is_a_way_back_that_holds_what_happened_since(stores: Stores) -> None:
    async with stores.projecting():
        await search_holds(stores, await a_shop(stores))
        first = await tables_id(stores)
        async with rebuilding(stores) as rebuild:
            assert await rebuild.run()
        await search_holds(stores, await stores.happened(product("chair"), stock("chair")))
        async with rebuilding(stores) as rebuild:
            await rebuild.back()
        assert await tables_id(stores) == first
        assert await differences(stores) == []
        async with rebuilding(stores) as rebuild:
            await rebuild.drop_old()
            with pytest.raises(RebuildStopped, match="no search tables to go back to"):
                await rebuild.back()


async def test_what_cannot_be_applied_swaps_nothing(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise KeyError("s9")

    async with stores.projecting():
        await search_holds(stores, await a_shop(stores))
    before = await tables_id(stores)
    monkeypatch.setattr(SearchProjection, "apply", fail)
    async with rebuilding(stores) as rebuild:
        with pytest.raises(RebuildStopped, match="cannot be applied"):
            await rebuild.run()
        assert await tables_id(stores) == before
        await rebuild.abandon()


@pytest.mark.parametrize(
    ("planted", "what", "key"),
    [
        ("UPDATE search.products SET price_minor = 1 WHERE sku = 'lamp-3'", "changed field", "product:lamp-3"),
        ("UPDATE search.documents SET title = 'A chair' WHERE id = 1", "changed field", "product:lamp-0"),
        ("DELETE FROM search.stock WHERE sku = 'lamp-3'", "missing key", "stock:lamp-3@north"),
        ("UPDATE search.stock SET on_hand = 9 WHERE sku = 'lamp-3'", "changed field", "stock:lamp-3@north"),
        ("UPDATE search.products SET units_sold = units_sold + 1 WHERE sku = 'lamp-3'", "wrong sum", "product:lamp-3"),
        ("UPDATE search.products SET in_stock = false WHERE sku = 'lamp-3'", "changed field", "in_stock:lamp-3"),
        ("UPDATE search.lexicon SET documents = 7 WHERE word = 'lamp'", "changed field", "lexicon:lamp"),
        ("UPDATE search.suggestions SET products = 7 WHERE text = 'Lamps'", "changed field", "suggestion:Lamps"),
        ("UPDATE search.vectors SET vector = ''::tsvector WHERE id = 1", "changed field", "vector:lamp-0"),
        (
            "INSERT INTO search.stock VALUES ('ghost', 'north', 1, 1, 0)",
            "wrong sum",
            "stock",
        ),
    ],
)  # fmt: skip
async def test_a_difference_that_is_planted_is_found_and_a_rebuild_puts_it_right(
    stores: Stores, planted: str, what: str, key: str
) -> None:
    async with stores.projecting():
        await search_holds(stores, await a_shop(stores))
        assert await differences(stores) == []
        await execute(stores, planted)
        assert (what, key) in {(found.what, found.key) for found in await differences(stores)}
        async with rebuilding(stores) as rebuild:
            assert await rebuild.run()
        assert await differences(stores) == []


@pytest.mark.long
async def test_opensearch_is_copied_anew_and_swapped(stores: Stores, opensearch_url: str) -> None:
    client, names = open_opensearch(opensearch_url, timeout_seconds=30), Names("rebuilt")
    try:
        async with stores.projecting():
            await search_holds(stores, await a_shop(stores))
            feed = SearchFeed(stores.database_url, client, names)
            await feed.flush()
            assert await IndexState(client, names).live() == 1
            async with rebuilding(stores) as rebuild:
                assert await rebuild.run()
            await feed.flush()
            assert await IndexState(client, names).live() == 2
            found = await client.count(index=names.products)
            assert found["count"] == len(SKUS)
    finally:
        await client.indices.delete(index="rebuilt-*")
        await client.close()


async def test_the_commands(stores: Stores, tmp_path: Path) -> None:
    shell = Shell(stores, tmp_path / "var")
    async with stores.projecting():
        await search_holds(stores, await a_shop(stores))
        assert (await shell.run("verify", "search"))[0] == 0
        await execute(stores, "UPDATE search.products SET price_minor = 1 WHERE sku = 'lamp-3'")
        code, out, _ = await shell.run("verify", "search", "--json")
        assert code == 1
        assert json.loads(out)["key"] == "product:lamp-3"
        code, out, err = await shell.run("rebuild", "search")
        assert code == 0, err
        assert "the new tables are live" in out
        code, out, _ = await shell.run("verify", "search")
        assert code == 0
        assert "0 differences" in out
