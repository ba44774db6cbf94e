"""The query API on real views, as clients see it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis

from domain.values import CartLine
from projections.keys import Keys
from projections.valkey import open_redis
from queryside.api import models
from tests.fixtures.ports import free_port
from tests.fixtures.valkey import valkey_on
from tests.integration.readside.conftest import serving
from tests.integration.readside.shop import MemoryShop, cart, cause, gbp, order, product, stock

ADA, BO = {"x-owner": "customer:ada"}, {"x-owner": "customer:bo"}
OPERATOR = {"x-owner": "customer:op", "x-roles": "operator"}


class TestProductPage:
    async def test_it_shows_the_product_and_what_all_warehouses_have(
        self, api: httpx.AsyncClient, shop: MemoryShop
    ) -> None:
        await shop.happened(product(), stock(quantity=4), stock(quantity=3, warehouse_id="south"))
        answer = await api.get("/v1/products/lamp")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        page = models.Product.model_validate_json(answer.content)
        assert (page.title, page.brand, page.price.amount, page.category) == (
            "The lamp",
            "Lumen",
            1000,
            ["Home", "Lamps"],
        )
        assert (page.rating, page.review_count, page.status) == (None, 0, "active")
        assert page.availability == models.Availability(status="in_stock", quantity=7)

    async def test_reserved_units_cannot_be_had(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        lamps = stock(quantity=7)
        lamps.reserve("order-1", 4, cause().at, cause())
        await shop.happened(product(), lamps)
        answer = await api.get("/v1/products/lamp")
        assert answer.json()["availability"] == {"status": "low_stock", "quantity": 3}
        lamps.reserve("order-2", 3, cause().at, cause())
        await shop.happened(lamps)
        answer = await api.get("/v1/products/lamp")
        assert answer.json()["availability"] == {"status": "out_of_stock", "quantity": 0}

    async def test_a_product_that_never_had_stock_is_out_of_it(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        await shop.happened(product())
        answer = await api.get("/v1/products/lamp")
        assert answer.json()["availability"] == {"status": "out_of_stock", "quantity": 0}

    async def test_a_service_can_always_be_had(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        await shop.happened(product("postage", kind="service"))
        answer = await api.get("/v1/products/postage")
        assert answer.json()["availability"] == {"status": "in_stock", "quantity": None}

    async def test_who_has_it_is_not_sent_it_again_until_it_changes(
        self, api: httpx.AsyncClient, shop: MemoryShop
    ) -> None:
        lamps = stock()
        await shop.happened(product(), lamps)
        etag = (await api.get("/v1/products/lamp")).headers["etag"]
        for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            again = await api.get("/v1/products/lamp", headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        lamps.receive(1, cause())
        await shop.happened(lamps)
        changed = await api.get("/v1/products/lamp", headers={"if-none-match": etag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != etag

    async def test_many_who_ask_at_once_are_answered_from_few_round_trips(
        self, api: httpx.AsyncClient, shop: MemoryShop, redis_client: Redis
    ) -> None:
        await shop.happened(product(), product("chair"))
        before = (await redis_client.info("commandstats"))["cmdstat_hmget"]["calls"]
        ids = ["lamp", "chair"] * 50
        answers = await asyncio.gather(*(api.get(f"/v1/products/{product_id}") for product_id in ids))
        assert [answer.json()["product_id"] for answer in answers] == ids
        asked = (await redis_client.info("commandstats"))["cmdstat_hmget"]["calls"] - before
        assert asked < len(ids) / 2

    @pytest.mark.parametrize("product_id", ["none", "%00", "%F0%9F%AA%94", "x" * 3000])
    async def test_what_is_not_there_is_not_found(self, api: httpx.AsyncClient, product_id: str) -> None:
        problem(await api.get(f"/v1/products/{product_id}"), 404, "not-found")


class TestCart:
    async def test_a_guest_who_has_written_nothing_has_an_empty_one(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v1/cart")
        assert answer.json() == {
            "cart_id": None,
            "version": 0,
            "items": [],
            "subtotal": {"amount": 0, "currency": "GBP"},
            "warnings": [],
        }

    async def test_it_shows_the_callers_own(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        adas = cart("customer:ada")
        await shop.happened(product(), stock(), adas, cart("customer:bo", quantity=5))
        answer = await api.get("/v1/cart", headers=ADA)
        page = models.Cart.model_validate_json(answer.content)
        assert page.cart_id == str(adas.id)
        assert [(item.product_id, item.quantity, item.line_total.amount) for item in page.items] == [("lamp", 2, 2000)]
        assert page.subtotal.amount == 2000
        assert page.warnings == []
        assert answer.headers["etag"] == f'"{adas.version}"'

    async def test_it_warns_of_what_changed_since(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        lamp, chair, adas = product(), product("chair"), cart("customer:ada")
        adas.add(CartLine("chair", "The chair", 1, gbp(1000)), cause())
        await shop.happened(lamp, chair, stock(quantity=1), stock("chair"), adas)
        lamp.reprice(gbp(1500), cause())
        chair.deactivate(cause())
        await shop.happened(lamp, chair)
        page = models.Cart.model_validate_json((await api.get("/v1/cart", headers=ADA)).content)
        assert page.subtotal.amount == 2 * 1500 + 1000
        assert page.warnings == [
            models.PriceChanged(
                type="price_changed",
                product_id="lamp",
                old=models.Money(amount=1000, currency="GBP"),
                new=models.Money(amount=1500, currency="GBP"),
            ),
            models.InsufficientStock(type="insufficient_stock", product_id="lamp", requested=2, available=1),
            models.Unavailable(type="unavailable", product_id="chair"),
        ]

    async def test_its_etag_changes_with_what_is_shown_though_its_version_does_not(
        self, api: httpx.AsyncClient, shop: MemoryShop
    ) -> None:
        lamp = product()
        await shop.happened(lamp, stock(), cart("customer:ada"))
        etag = (await api.get("/v1/cart", headers=ADA)).headers["etag"]
        assert (await api.get("/v1/cart", headers={**ADA, "if-none-match": etag})).status_code == 304
        lamp.reprice(gbp(1), cause())
        await shop.happened(lamp)
        assert (await api.get("/v1/cart", headers={**ADA, "if-none-match": etag})).status_code == 200


class TestOrder:
    async def test_its_owner_sees_it_whole(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        adas = order("customer:ada", 1)
        adas.pack("s1", cause())
        adas.ship("s1", "post", "T1", cause())
        await shop.happened(adas)
        answer = await api.get(f"/v1/orders/{adas.order_id}", headers=ADA)
        page = models.Order.model_validate_json(answer.content)
        assert page.status == "shipped"
        assert (page.shipments[0].carrier, page.shipments[0].tracking_number) == ("post", "T1")
        assert page.placed_at is not None
        assert answer.headers["etag"] == f'"{adas.version}"'
        known = await api.get(f"/v1/orders/{adas.order_id}", headers={**ADA, "if-none-match": answer.headers["etag"]})
        assert known.status_code == 304

    async def test_an_operator_sees_any(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        await shop.happened(order("customer:ada", 1))
        assert (await api.get(f"/v1/orders/{UUID(int=1)}", headers=OPERATOR)).status_code == 200

    async def test_for_strangers_it_is_not_there(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        await shop.happened(order("customer:ada", 1))
        for who in (BO, {}, {"x-owner": "guest:ada"}, {**BO, "x-roles": "auditor"}):
            theirs = await api.get(f"/v1/orders/{UUID(int=1)}", headers=who)
            nobodys = await api.get(f"/v1/orders/{UUID(int=2)}", headers=who)
            problem(theirs, 404, "not-found")
            assert theirs.text.replace(str(UUID(int=1)), "") == nobodys.text.replace(str(UUID(int=2)), "")

    async def test_nor_can_a_stranger_tell_by_waiting_for_it(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        await shop.happened(order("customer:ada", 1))
        for number in (1, 2):
            waited = await api.get(f"/v1/orders/{UUID(int=number)}", headers={**BO, "min-version": "1"})
            problem(waited, 503, "not-there-in-time")

    @pytest.mark.parametrize("order_id", ["x", "1", "%00", "00000000-0000-0000-0000-00000000000g"])
    async def test_what_is_no_id_is_not_found(self, api: httpx.AsyncClient, order_id: str) -> None:
        problem(await api.get(f"/v1/orders/{order_id}", headers=ADA), 404, "not-found")


class TestOrders:
    async def test_they_are_the_callers_own_newest_first(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        await shop.happened(order("customer:ada", 1), order("customer:bo", 2), order("customer:ada", 3))
        page = models.OrderList.model_validate_json((await api.get("/v1/orders", headers=ADA)).content)
        assert [o.order_id for o in page.orders] == [str(UUID(int=3)), str(UUID(int=1))]
        assert page.next_cursor is None

    async def test_whoever_has_none_gets_none(self, api: httpx.AsyncClient) -> None:
        for who in (ADA, {}):
            assert (await api.get("/v1/orders", headers=who)).json() == {"orders": [], "next_cursor": None}

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    async def test_paging_shows_each_once_even_while_new_ones_come(
        self, api: httpx.AsyncClient, shop: MemoryShop, limit: int
    ) -> None:
        await shop.happened(*(order("customer:ada", number) for number in range(1, 8)))
        seen: list[str] = []
        parameters: dict[str, str | int] = {"limit": limit}
        newer = 100
        while True:
            page = (await api.get("/v1/orders", headers=ADA, params=parameters)).json()
            assert len(page["orders"]) <= limit
            seen += [o["order_id"] for o in page["orders"]]
            await shop.happened(order("customer:ada", newer := newer + 1))
            if page["next_cursor"] is None:
                break
            parameters["cursor"] = page["next_cursor"]
        assert seen == [str(UUID(int=number)) for number in range(7, 0, -1)]

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "cursor=&cursor=", "cursor=AAAA", "cursor=%00",
         "cursor=é", "cursor=" + "A" * 200, "page=2", "page="],
    )  # fmt: skip
    async def test_what_makes_no_sense_is_refused(self, api: httpx.AsyncClient, query: str) -> None:
        problem(await api.get(f"/v1/orders?{query}", headers=ADA), 422, "invalid-input")

    @pytest.mark.parametrize("query", ["cursor=", "limit=", "cursor=&limit=", "cursor", "?"])
    async def test_a_parameter_without_a_value_is_as_good_as_none(
        self, api: httpx.AsyncClient, shop: MemoryShop, query: str
    ) -> None:
        await shop.happened(*(order("customer:ada", number) for number in range(1, 22)))
        answer = await api.get(f"/v1/orders?{query.strip('?')}", headers=ADA)
        assert answer.json() == (await api.get("/v1/orders", headers=ADA)).json()
        assert len(answer.json()["orders"]) == 20


class TestInventory:
    async def test_it_shows_each_warehouse_and_the_sum(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        north = stock(quantity=4)
        north.reserve("order-1", 1, cause().at, cause())
        await shop.happened(north, stock(quantity=5, warehouse_id="south"))
        answer = await api.get("/v1/inventory/lamp")
        models.Inventory.model_validate_json(answer.content)
        assert answer.json() == {
            "sku": "lamp",
            "available": 8,
            "warehouses": [
                {"warehouse_id": "north", "on_hand": 4, "reserved": 1, "available": 3},
                {"warehouse_id": "south", "on_hand": 5, "reserved": 0, "available": 5},
            ],
        }

    async def test_a_product_that_never_had_any_has_none(self, api: httpx.AsyncClient, shop: MemoryShop) -> None:
        await shop.happened(product())
        answer = await api.get("/v1/inventory/lamp")
        assert answer.json() == {"sku": "lamp", "available": 0, "warehouses": []}

    async def test_nothing_is_known_of_services_and_unknown_skus(
        self, api: httpx.AsyncClient, shop: MemoryShop
    ) -> None:
        await shop.happened(product("postage", kind="service"))
        for sku in ("postage", "none"):
            problem(await api.get(f"/v1/inventory/{sku}"), 404, "not-found")


ROUTES = ["/v1/products/lamp", "/v1/cart", "/v1/orders", f"/v1/orders/{UUID(int=1)}", "/v1/inventory/lamp"]


class TestReadYourOwnWrites:
    @pytest.mark.parametrize("path", ROUTES)
    async def test_a_query_waits_until_the_view_holds_the_position(
        self, waiting_api: httpx.AsyncClient, shop: MemoryShop, path: str
    ) -> None:
        position = shop.record(product(), stock(), cart("customer:ada"), order("customer:ada", 1))
        waiting = asyncio.create_task(waiting_api.get(path, headers={**ADA, "min-position": str(position)}))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await shop.project()
        assert (await waiting).status_code == 200

    @pytest.mark.parametrize("late", range(2))
    async def test_a_product_page_waits_for_the_product_and_for_its_stock(
        self, api: httpx.AsyncClient, shop: MemoryShop, late: int
    ) -> None:
        position = shop.record(product(), stock(quantity=7))
        both = shop.projections[:2]  # the pages, and the stock levels
        await both[1 - late].apply(shop.log, position)
        waiting = {**ADA, "min-position": str(position)}
        problem(await api.get("/v1/products/lamp", headers=waiting), 503, "not-there-in-time")
        await both[late].apply(shop.log, position)
        answer = await api.get("/v1/products/lamp", headers=waiting)
        assert (answer.status_code, answer.json()["availability"]["quantity"]) == (200, 7)

    async def test_what_nobody_waits_for_any_more_does_not_outlive_the_application(self, redis_client: Redis) -> None:
        before = asyncio.all_tasks()
        async with serving(redis_client) as api:
            waiting = [asyncio.create_task(api.get(path, headers={**ADA, "min-position": "9"})) for path in ROUTES]
            await asyncio.sleep(0.05)
            for gone_away in waiting:
                gone_away.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert asyncio.all_tasks() == before

    @pytest.mark.parametrize("path", ROUTES)
    async def test_what_does_not_come_in_time_is_a_503(
        self, api: httpx.AsyncClient, shop: MemoryShop, path: str
    ) -> None:
        position = await shop.happened(product(), stock(), cart("customer:ada"), order("customer:ada", 1))
        late = await api.get(path, headers={**ADA, "min-position": str(position + 1)})
        problem(late, 503, "not-there-in-time")
        assert late.headers["retry-after"] == "1"

    async def test_a_query_waits_for_the_version_of_what_it_shows(
        self, waiting_api: httpx.AsyncClient, shop: MemoryShop
    ) -> None:
        lamp, adas, bought = product(), cart("customer:ada"), order("customer:ada", 1)
        versions = {"/v1/products/lamp": lamp.version, "/v1/cart": adas.version, ROUTES[3]: bought.version}
        shop.record(lamp, adas, bought)
        waiting = [
            asyncio.create_task(waiting_api.get(path, headers={**ADA, "min-version": str(version)}))
            for path, version in versions.items()
        ]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        await shop.project()
        assert [(await task).json()["version"] for task in waiting] == list(versions.values())

    @pytest.mark.parametrize("header", ["min-position", "min-version"])
    @pytest.mark.parametrize(
        "value", ["", "-1", "x", "1.5", "1e3", "1_000", "99999999999999999999", "9999999999999999999"]
    )
    async def test_what_is_no_position_is_refused(self, api: httpx.AsyncClient, header: str, value: str) -> None:
        for path in ROUTES if header == "min-position" else [ROUTES[0], ROUTES[1], ROUTES[3]]:
            answer = await api.get(path, headers=[*ADA.items(), (header, value)])
            problem(answer, 422, "invalid-input")


@pytest.mark.parametrize("path", [*ROUTES[:2], *ROUTES[3:]])
async def test_unknown_query_parameters_are_refused(api: httpx.AsyncClient, path: str) -> None:
    problem(await api.get(path, params={"x": "1"}, headers=ADA), 422, "invalid-input")


async def test_the_openapi_page_has_every_route_with_its_shape_and_problems(api: httpx.AsyncClient) -> None:
    page = (await api.get("/openapi.json")).json()
    shapes = {
        "/v1/products/{product_id}": "Product",
        "/v1/cart": "Cart",
        "/v1/orders": "OrderList",
        "/v1/orders/{order_id}": "Order",
        "/v1/inventory/{sku}": "Inventory",
        "/v1/suggest": "Suggestions",
    }
    for path, shape in shapes.items():
        responses = page["paths"][path]["get"]["responses"]
        assert responses["200"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{shape}")
        assert "application/problem+json" in responses["401"]["content"]
        assert "application/problem+json" in responses["503"]["content"]
        names = {parameter["name"] for parameter in page["paths"][path]["get"]["parameters"]}
        assert "Min-Position" in names
    later = ("also-bought", "trending", "recommendations")
    assert not [path for path in page["paths"] for word in later if word in path]


async def test_without_valkey_every_answer_is_a_503_and_with_it_again_an_answer() -> None:
    port = free_port()
    with ExitStack() as servers:
        url = servers.enter_context(valkey_on(port))
        async with open_redis(url) as client, serving(client) as api:
            await filled(client)
            assert {(await api.get(path, headers=ADA)).status_code for path in ROUTES} == {200}
            servers.close()
            for path in ROUTES:
                for headers in (ADA, {**ADA, "min-position": "1"}):
                    answer = await api.get(path, headers=headers)
                    problem(answer, 503, "unavailable")
                    assert answer.headers["retry-after"] == "1"
            servers.enter_context(valkey_on(port))
            await filled(client)
            assert {(await api.get(path, headers=ADA)).status_code for path in ROUTES} == {200}


async def filled(client: Redis) -> None:
    await MemoryShop(client).happened(product(), stock(), cart("customer:ada"), order("customer:ada", 1))


async def test_a_view_that_cannot_be_read_is_a_fault_and_not_an_empty_answer(
    api: httpx.AsyncClient, shop: MemoryShop, redis_client: Redis
) -> None:
    await shop.happened(cart("customer:ada"))
    (key,) = [key async for key in redis_client.scan_iter(match=Keys().cart("*"))]
    await redis_client.delete(key)
    await redis_client.set(key, "not a hash")
    problem(await api.get("/v1/cart", headers=ADA), 503, "unavailable")


def problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["type"]) == (status, f"/problems/{slug}")
    assert body["detail"]
