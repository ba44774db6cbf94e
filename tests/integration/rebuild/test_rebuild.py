"""A view built again beside the live one: what readers see, what is stored, and what happens when it is stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from random import Random

import pytest
from redis.asyncio import Redis

from domain.aggregates import EventSourced
from projections.generations import VIEW_NAMES, Generations, Standing, Successor, ViewName
from projections.keys import GENERATIONS, Keys
from projections.valkey import open_redis
from queryside.views import Views
from streams.places import StoredPlaces
from streams.rebuild import RebuildStopped
from tests.fixtures.redis_contents import contents
from tests.integration.readside.shop import (
    about_a_shipment_that_it_does_not_have,
    cart,
    cause,
    gbp,
    order,
    product,
    stock,
)
from tests.integration.rebuild.beside import Said, Stores
from tests.waiting import eventually

READS_PER_SECOND = 200
SKUS = [f"sku-{number}" for number in range(20)]


async def filled(stores: Stores, orders_count: int = 30) -> int:
    happened: list[EventSourced] = [cart("customer:ada")]
    for number, sku in enumerate(SKUS):
        happened += (product(sku), stock(sku, quantity=number + 1), stock(sku, quantity=3, warehouse_id="south"))
    happened += (order(f"customer:{number % 3}", number + 1) for number in range(orders_count))
    return await stores.happened(*happened)


async def live(stores: Stores, view: ViewName) -> int:
    return (await Generations(stores.client).standing(view)).live


@pytest.mark.parametrize("view", VIEW_NAMES)
async def test_the_new_generation_is_the_old_one_byte_for_byte(stores: Stores, view: ViewName) -> None:
    said = Said()
    async with stores.projecting():
        await stores.until_seen(await filled(stores))
        before = await contents(stores.client, Keys.of(1).prefix)
        assert await stores.rebuild(view, said, window_positions=7).run()
    after = await contents(stores.client, Keys.of(2).prefix)
    families = tuple(f":{family}:".encode() for family in (view, "orders") if family != "orders" or view == "order")
    assert after == {
        key: value for key, value in before.items() if key.startswith((*families, f":checkpoint:{view}".encode()))
    }
    assert await Generations(stores.client).standing(view) == Standing(2, 1, None, False)
    assert await stores.all_differences() == []
    assert any("seed 1" in line for line in said.lines)


async def test_after_the_swap_both_are_kept_up_and_the_way_back_is_a_real_one(stores: Stores) -> None:
    views = Views(stores.client)
    async with stores.projecting():
        await stores.until_seen(await filled(stores))
        assert await stores.rebuild("product").run()
        lamp = product()
        await stores.until_seen(await stores.happened(lamp))
        for generation in (1, 2):
            await eventually(
                lambda number=generation: stores.client.hget(Keys.of(number).product("lamp"), "version"),  # type: ignore[misc]
                lambda version: version == b"1",
            )
        await stores.rebuild("product").back()
        assert await live(stores, "product") == 1
        lamp.reprice(gbp(5), cause())
        await stores.until_seen(await stores.happened(lamp))
        assert (await views.products(["lamp"]))["lamp"].page.price == gbp(5)
        assert await stores.all_differences() == []


async def test_what_is_dropped_is_gone_and_nothing_else(stores: Stores) -> None:
    async with stores.projecting():
        await stores.until_seen(await filled(stores))
        assert await stores.rebuild("order").run()
        await stores.rebuild("order").drop_old()
        await stores.until_seen(await stores.happened(order("customer:ada", 99)))
        left = await contents(stores.client, Keys.of(1).prefix)
        assert not [key for key in left if b":order" in key]
        assert await stores.all_differences() == []
        with pytest.raises(RebuildStopped, match="no generation"):
            await stores.rebuild("order").back()
        assert await stores.rebuild("order").run()
        assert await live(stores, "order") == 3


async def test_it_is_not_begun_while_an_old_one_is_kept(stores: Stores) -> None:
    await filled(stores)
    assert await stores.rebuild("cart").run()
    with pytest.raises(RebuildStopped, match="--drop-old"):
        await stores.rebuild("cart").run()


async def test_without_a_projector_it_says_so_and_the_next_one_feeds_it(stores: Stores) -> None:
    said = Said()
    await filled(stores)
    assert await stores.rebuild("product", said).run()
    assert any("no projector" in line for line in said.lines)
    async with stores.projecting():
        await stores.until_seen(await stores.happened(product("vase")))
    assert await stores.all_differences() == []


async def test_asked_to_stop_it_goes_on_another_time_where_it_was(stores: Stores) -> None:
    windows, said, again = count(), Said(), Said()
    position = await filled(stores)
    rebuild = stores.rebuild("stock", said, lambda: next(windows) >= 3, window_positions=10)
    assert not await rebuild.run()
    held = int(await stores.client.hget(Keys.of(2).checkpoint("stock"), "0") or 0)
    assert 0 < held < position
    assert await live(stores, "stock") == 1
    assert await stores.rebuild("stock", again).run()
    assert again.advanced == position - held
    assert await stores.differences("stock") == []


async def test_what_was_begun_can_be_given_up(stores: Stores) -> None:
    await filled(stores)
    windows = count()
    assert not await stores.rebuild("stock", None, lambda: next(windows) >= 2, window_positions=10).run()
    await stores.rebuild("stock").abandon()
    assert await contents(stores.client, Keys.of(2).prefix) == {}
    assert await Generations(stores.client).standing("stock") == Standing(1, None, None, False)
    assert await stores.rebuild("stock").run()
    assert await live(stores, "stock") == 3


async def test_what_was_built_wrongly_is_not_swapped_in(stores: Stores) -> None:
    """A damaged key in what is being built: the sums tell, and the live view stays."""
    await filled(stores)
    windows = count()
    assert not await stores.rebuild("stock", None, lambda: next(windows) >= 8, window_positions=10).run()
    (key, *_) = [key async for key in stores.client.scan_iter(match=f"{Keys.of(2).prefix}:stock:*")]
    await stores.client.delete(key)
    await stores.client.hset(Keys.of(2).stock("ghost"), mapping={"@north": "1 5 0", "available": "5"})
    with pytest.raises(RebuildStopped, match="not what the log says"):
        await stores.rebuild("stock").run()
    assert await live(stores, "stock") == 1


@pytest.mark.long
async def test_a_stream_that_cannot_be_applied_is_set_aside_as_in_the_live_view(stores: Stores) -> None:
    bad = order("customer:ada", 77)
    async with stores.projecting():
        await filled(stores)
        await stores.happened(bad)
        poisoned = about_a_shipment_that_it_does_not_have(bad)
        await stores.until_seen(max(await stores.events.append([poisoned], {})))
        assert await stores.rebuild("order").run()
        assert await live(stores, "order") == 2
        assert {found.what for found in await stores.differences("order")} == {"set aside"}


async def test_one_that_only_the_new_program_cannot_apply_stops_it(stores: Stores) -> None:
    bad = order("customer:ada", 77)
    async with stores.projecting():
        await stores.happened(bad)
        poisoned = about_a_shipment_that_it_does_not_have(bad)
        await stores.until_seen(max(await stores.events.append([poisoned], {})))
    await stores.client.delete(Keys().set_aside("order"))  # as if the live view had taken it
    with pytest.raises(RebuildStopped, match="could not be applied"):
        await stores.rebuild("order").run()
    assert await live(stores, "order") == 1


async def test_a_swap_waits_for_what_the_live_one_holds(stores: Stores) -> None:
    """Nobody who was shown something is shown less by the next answer."""
    generations = Generations(stores.client)
    await stores.client.hset(Keys.of(1).checkpoint("product"), "0", "10")
    number, is_new = await generations.begin("product")
    assert (number, is_new) == (2, True)
    await stores.client.hset(Keys.of(2).checkpoint("product"), "0", "9")
    assert not await generations.swap("product", "building")
    assert (await generations.standing("product")).live == 1
    await stores.client.hset(Keys.of(2).checkpoint("product"), "0", "10")
    assert await generations.swap("product", "building")
    assert (await generations.standing("product")).live == 2


async def test_a_swap_by_partitions_waits_for_each_of_them(stores: Stores) -> None:
    generations, topic = Generations(stores.client), "catalog-events"
    await stores.client.hset(Keys.of(1).checkpoint("product"), mapping={f"{topic}:0": "10", f"{topic}:1": "12"})
    await generations.begin("product")
    await stores.client.hset(Keys.of(2).checkpoint("product"), mapping={"0": "11", f"{topic}:0": "10"})
    assert not await generations.swap("product", "building"), "nobody feeds its partition 1 yet"
    await stores.client.hset(Keys.of(2).checkpoint("product"), f"{topic}:1", "0")
    assert not await generations.swap("product", "building"), "its partition 1 is behind"
    await stores.client.hset(Keys.of(2).checkpoint("product"), f"{topic}:1", "12")
    assert await generations.swap("product", "building")
    assert set(await stores.client.hkeys(Keys.of(2).checkpoint("product"))) == {
        b"catalog-events:0",
        b"catalog-events:1",
    }


@pytest.mark.parametrize("role", ["building", "kept"])
async def test_after_a_swap_by_partitions_a_quiet_shop_holds_what_was_built_of_the_whole_log(
    stores: Stores, role: Successor
) -> None:
    """Nothing happens any more: what a partition holds is not written by anybody but the swap."""
    topic, number = "catalog-events", 2
    if role == "building":
        await Generations(stores.client).begin("product")
    else:
        await stores.client.hset(GENERATIONS, "product:kept", number)
    await stores.client.hset(Keys.of(1).checkpoint("product"), mapping={f"{topic}:0": "10", f"{topic}:1": "12"})
    built = Keys.of(number).checkpoint("product")
    await stores.client.hset(built, "0", "12")
    await StoredPlaces(stores.client).join(Keys.of(number), "product", [f"{topic}:0", f"{topic}:1"])
    await stores.client.hset(built, f"{topic}:0", "14")

    assert await Generations(stores.client).swap("product", role)

    assert await stores.client.hgetall(built) == {b"catalog-events:0": b"14", b"catalog-events:1": b"12"}
    assert await Views(stores.client).positions(["product"]) == [12]


class Reader:
    """Asks as shoppers do, and remembers the latest version that anybody was shown of each thing."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._seen: dict[str, int] = {}
        self.reads_count = 0
        self.longest_seconds = 0.0
        self.wrong: list[str] = []

    async def read(self, sku: str, number: int) -> None:
        began = time.monotonic()
        order_id = f"00000000-0000-0000-0000-{number:012x}"
        products, levels, orders, entries = await asyncio.gather(
            self._views.products([sku]),
            self._views.stock(sku),
            self._views.orders([order_id]),
            self._views.order_entries("customer:0", None, 1_000),
        )
        self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
        self.reads_count += 1
        self._note(f"product {sku}", products[sku].page.version if sku in products else 0)
        self._note(f"stock {sku}", levels["north"].version if "north" in levels else 0)
        self._note(f"order {order_id}", orders[0].version if orders[0] else 0)
        self._note("entries", len(entries))

    def _note(self, what: str, version: int) -> None:
        latest = self._seen.get(what, 1)
        if version < latest:
            self.wrong.append(f"{what}: {version} after {latest}")
        self._seen[what] = max(version, latest)


async def test_readers_see_nothing_wrong_missing_or_older_while_all_views_are_built_again(stores: Stores) -> None:
    """200 reads a second from two processes' worth of readers, and writes, while every view is swapped and back."""
    chance, stopping = Random(4), asyncio.Event()  # noqa: S311 -- shoppers, not secrets
    products = {sku: product(sku) for sku in SKUS}
    levels = {sku: stock(sku) for sku in SKUS}
    orders = [order("customer:0", number + 1) for number in range(10)]

    async def write() -> None:
        number = 1_000
        while not stopping.is_set():
            sku = chance.choice(SKUS)
            products[sku].reprice(gbp(chance.randint(1, 10**9)), cause())
            levels[sku].receive(1, cause())
            number += 1
            await stores.happened(products[sku], levels[sku], order("customer:0", number))
            await asyncio.sleep(0.01)

    async def read(reader: Reader) -> None:
        while not stopping.is_set():
            await reader.read(chance.choice(SKUS), chance.randint(1, 10))
            await asyncio.sleep(2 / READS_PER_SECOND)

    async with stores.projecting(), _clients(stores.redis_url, 2) as clients:
        await stores.until_seen(await stores.happened(*products.values(), *levels.values(), *orders))
        readers = [Reader(Views(client)) for client in clients]
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            for reader in readers:
                group.create_task(read(reader))
            try:
                for view in VIEW_NAMES:
                    assert await stores.rebuild(view).run()
                await stores.rebuild("product").back()
                await stores.rebuild("stock").drop_old()
            finally:
                stopping.set()
        await stores.until_seen(await stores.events.last_position())
        assert await stores.all_differences() == []
    assert [wrong for reader in readers for wrong in reader.wrong] == []
    assert sum(reader.reads_count for reader in readers) > 100
    print(f"{sum(r.reads_count for r in readers)} reads, the longest {max(r.longest_seconds for r in readers):.3f} s")


@asynccontextmanager
async def _clients(url: str, number: int) -> AsyncIterator[list[Redis]]:
    clients = [open_redis(url, timeout_seconds=5) for _ in range(number)]
    try:
        yield clients
    finally:
        for client in clients:
            await client.aclose()
