"""A view compared with its log: nothing differs until something is changed by hand, and then just that is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from domain.aggregates import Allowance, Order
from projections.generations import ViewName
from projections.keys import Keys
from projections.views import orders_entry
from streams.verify_differences import Difference
from streams.verify_strangers import ENTRIES_AT_ONCE_COUNT
from tests.integration.readside.shop import (
    about_a_shipment_that_it_does_not_have,
    cart,
    cause,
    gbp,
    order,
    product,
    stock,
)
from tests.integration.rebuild.beside import Stores
from tests.profiles import profile

KEYS = Keys()
ADAS = "00000000-0000-0000-0000-000000000001"
LOOKS_COUNT = {"short": 3, "long": 15}[profile()]


@pytest.fixture
async def shop(stores: Stores) -> Stores:
    lamp = product()
    lamp.reprice(gbp(1200), cause())
    vase = product("limited-vase")  # and what somebody has had of it, of which there is no view
    vase.limit(3, cause())
    allowance = Allowance.open("customer:ada", "limited-vase", cause())
    allowance.take("order-1", 2, 3, cause())
    south = stock(quantity=3, warehouse_id="south")
    adas_cart = cart("customer:ada")
    orders = (order("customer:ada", 1), order("customer:bo", 2))
    happened = (lamp, product("chair"), vase, allowance, stock(), south, adas_cart, *orders)
    async with stores.projecting():
        await stores.until_seen(await stores.happened(*happened))
    return stores


async def test_views_that_are_as_the_log_says(shop: Stores) -> None:
    assert await shop.all_differences() == []


async def test_views_that_are_late_are_not_wrong(shop: Stores) -> None:
    """What the projector has not taken yet is no difference: it claims nothing of it."""
    await shop.happened(product("vase"), order("customer:ada", 3))
    assert await shop.all_differences() == []


async def missing_key(client: Redis) -> None:
    await client.delete(KEYS.product("lamp"))


async def changed_member(client: Redis) -> None:
    body = json.loads((await client.hget(KEYS.product("lamp"), "body")) or b"")
    body["price"]["amount"] = 1
    await client.hset(KEYS.product("lamp"), "body", json.dumps(body))


async def changed_kind(client: Redis) -> None:
    await client.hset(KEYS.product("lamp"), "kind", "service")


async def missing_field(client: Redis) -> None:
    await client.hdel(KEYS.order(ADAS), "ledger")


async def extra_field(client: Redis) -> None:
    await client.hset(KEYS.order(ADAS), "colour", "red")


async def extra_product(client: Redis) -> None:
    await client.hset(KEYS.product("ghost"), mapping={"version": "1", "body": "{}", "kind": "goods"})


async def extra_order(client: Redis) -> None:
    await client.hset(KEYS.order("not-an-id"), mapping={"version": "1"})


async def wrong_type(client: Redis) -> None:
    await client.delete(KEYS.product("lamp"))
    await client.set(KEYS.product("lamp"), "text")


async def changed_level(client: Redis) -> None:
    await client.hset(KEYS.stock("lamp"), "@north", "2 11 0")


async def wrong_sum(client: Redis) -> None:
    await client.hincrby(KEYS.stock("lamp"), "available", 5)


async def extra_warehouse(client: Redis) -> None:
    await client.hset(KEYS.stock("lamp"), "@moon", "1 5 0")


async def extra_stock(client: Redis) -> None:
    await client.hset(KEYS.stock("ghost"), mapping={"@north": "1 5 0", "available": "5"})


async def missing_level(client: Redis) -> None:
    await client.hdel(KEYS.stock("lamp"), "@south")
    await client.hset(KEYS.stock("lamp"), "available", "10")


async def missing_entry(client: Redis) -> None:
    await client.zremrangebyrank(KEYS.orders("customer:ada"), 0, -1)


async def entry_of_ada(client: Redis) -> str:
    (entry,) = cast(list[bytes], await client.zrange(KEYS.orders("customer:ada"), 0, -1))
    return entry.decode()


async def moved_entry(client: Redis) -> None:
    entry = await entry_of_ada(client)
    await client.zadd(KEYS.orders("customer:bo"), {entry: 0})


async def scored_entry(client: Redis) -> None:
    entry = await entry_of_ada(client)
    await client.zadd(KEYS.orders("customer:ada"), {entry: 7})


async def later_than_the_log(client: Redis) -> None:
    await client.hset(KEYS.product("lamp"), "version", "99")


PLANTED: list[tuple[ViewName, Callable[[Redis], Awaitable[None]], set[tuple[str, str, str | None]]]] = [
    ("product", missing_key, {("missing key", KEYS.product("lamp"), None)}),
    ("product", changed_kind, {("changed field", KEYS.product("lamp"), "kind")}),
    ("product", extra_product, {("extra key", KEYS.product("ghost"), None)}),
    ("product", wrong_type, {("wrong type", KEYS.product("lamp"), None)}),
    ("product", later_than_the_log, {("changed field", KEYS.product("lamp"), "version")}),
    ("order", missing_field, {("missing field", KEYS.order(ADAS), "ledger")}),
    ("order", extra_field, {("extra field", KEYS.order(ADAS), "colour")}),
    ("order", extra_order, {("extra key", KEYS.order("not-an-id"), None)}),
    (
        "stock",
        changed_level,
        {("changed field", KEYS.stock("lamp"), "@north"), ("wrong sum", KEYS.stock("lamp"), "available")},
    ),
    ("stock", wrong_sum, {("wrong sum", KEYS.stock("lamp"), "available")}),
    ("stock", extra_warehouse, {("extra field", KEYS.stock("lamp"), "@moon")}),
    ("stock", extra_stock, {("extra key", KEYS.stock("ghost"), None)}),
    ("stock", missing_level, {("missing field", KEYS.stock("lamp"), "@south")}),
]


@pytest.mark.parametrize(("view", "plant", "expected"), PLANTED, ids=[plant.__name__ for _, plant, _ in PLANTED])
async def test_a_difference_is_found_and_named(
    shop: Stores,
    view: ViewName,
    plant: Callable[[Redis], Awaitable[None]],
    expected: set[tuple[str, str, str | None]],
) -> None:
    await plant(shop.client)
    assert {(found.what, found.key, found.field) for found in await shop.all_differences()} == expected
    assert {(found.what, found.key, found.field) for found in await shop.differences(view)} == expected


async def test_a_member_of_the_body_is_named_with_both_values(shop: Stores) -> None:
    await changed_member(shop.client)
    assert await shop.differences("product") == [
        Difference("changed field", KEYS.product("lamp"), "body.price.amount", "1", "1200")
    ]


async def test_the_same_json_in_other_bytes_is_a_difference(shop: Stores) -> None:
    body: Any = await shop.client.hget(KEYS.product("lamp"), "body")
    await shop.client.hset(KEYS.product("lamp"), "body", body + b" ")
    (found,) = await shop.differences("product")
    assert (found.what, found.field) == ("changed field", "body")


class TestEntries:
    async def test_a_missing_one(self, shop: Stores) -> None:
        entry = await entry_of_ada(shop.client)
        await missing_entry(shop.client)
        assert await shop.differences("order") == [
            Difference("missing entry", KEYS.orders("customer:ada"), entry, None, "0")
        ]

    async def test_one_in_somebody_elses_list(self, shop: Stores) -> None:
        entry = await entry_of_ada(shop.client)
        await moved_entry(shop.client)
        assert await shop.differences("order") == [
            Difference("extra entry", KEYS.orders("customer:bo"), entry, "", None)
        ]

    async def test_one_of_another_time(self, shop: Stores) -> None:
        late = orders_entry(cause().at, ADAS)
        await shop.client.zadd(KEYS.orders("customer:ada"), {late: 0})
        assert await shop.differences("order") == [
            Difference("extra entry", KEYS.orders("customer:ada"), late, "", None)
        ]

    async def test_one_with_a_score(self, shop: Stores) -> None:
        """Lists are ordered by their members: a score would move it."""
        entry = await entry_of_ada(shop.client)
        await scored_entry(shop.client)
        assert await shop.differences("order") == [
            Difference("changed score", KEYS.orders("customer:ada"), entry, "7", "0")
        ]

    async def test_very_many_beside_a_list_that_is_none(self, shop: Stores) -> None:
        """Lists are read several at a time, each of them a piece at a time."""
        entry, beyond = await entry_of_ada(shop.client), 2 * ENTRIES_AT_ONCE_COUNT + 1
        await shop.client.zadd(KEYS.orders("customer:cy"), {f"{entry}-{number}": 0 for number in range(beyond)})
        await shop.client.set(KEYS.orders("customer:di"), "text")
        found = await shop.differences("order")
        extra = {difference.field for difference in found if difference.what == "extra entry"}
        assert extra == {f"{entry}-{number}" for number in range(beyond)}
        assert [difference.key for difference in found if difference.what == "wrong type"] == [
            KEYS.orders("customer:di")
        ]
        assert {difference.what for difference in found} == {"extra entry", "wrong type"}


async def test_a_stale_version(shop: Stores) -> None:
    key = KEYS.product("lamp")
    before = await shop.client.hgetall(key)
    lamp = product("lampion")
    async with shop.projecting():
        await shop.until_seen(await shop.happened(lamp))
        stale: Any = await shop.client.hgetall(KEYS.product("lampion"))
        lamp.reprice(gbp(900), cause())
        await shop.until_seen(await shop.happened(lamp))
    await shop.client.hset(KEYS.product("lampion"), mapping=stale)
    assert before == await shop.client.hgetall(key)
    assert await shop.differences("product") == [
        Difference("stale version", KEYS.product("lampion"), "version", "1", "2")
    ]


async def test_a_stream_that_was_set_aside_is_said_to_be(shop: Stores) -> None:
    bad = order("customer:ada", 7)
    async with shop.projecting():
        await shop.happened(bad)
        poisoned = about_a_shipment_that_it_does_not_have(bad)
        await shop.until_seen(max(await shop.events.append([poisoned], {})))
    found = await shop.differences("order")
    assert {difference.key for difference in found} == {KEYS.order(str(bad.id))}
    assert "set aside" in {difference.what for difference in found}


async def test_no_false_alarm_while_the_shop_sells(shop: Stores) -> None:
    selling = asyncio.Event()

    async def sell() -> None:
        number, adas = 100, cart("customer:busy")
        (line,) = adas.lines.values()
        while not selling.is_set():
            number += 1
            adas.add(line, cause())
            sold: Order = order("customer:ada", number)
            await shop.happened(adas, sold, product(f"sku-{number}"), stock(f"sku-{number}"))

    async with shop.projecting(), asyncio.TaskGroup() as group:
        group.create_task(sell())
        try:
            for _ in range(LOOKS_COUNT):
                assert await shop.all_differences() == []
        finally:
            selling.set()
