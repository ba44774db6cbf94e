"""How many units one customer can have of a product: over all orders, also over those that run at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from domain.events.allowance import AllowanceGivenBack, AllowanceTaken
from domain.identity import allowance_stream
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import webhook


@pytest.fixture
async def ada(shop: CommandShop) -> httpx.AsyncClient:
    """A customer, where nobody can have more than three lamps."""
    await limit(shop, 3)
    return shop.client(sub="ada")


async def limit(shop: CommandShop, units: int | None) -> None:
    changed = await shop.operator.patch("/v1/products/LAMP", json={"limit_per_customer": units})
    assert changed.status_code == 200, changed.text


async def taken(shop: CommandShop, owner: str = "customer:ada") -> list[tuple[str, int]]:
    """The events of the allowance but the first, and how many units each is about."""
    history = [each.event for each in await shop.store.history(allowance_stream(owner, "LAMP"))]
    return [
        (event.TOPIC, event.quantity) for event in history[1:] if isinstance(event, AllowanceTaken | AllowanceGivenBack)
    ]


def refusal(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 409, answer.text
    return {name: value for name, value in answer.json().items() if name not in ("title", "detail", "status")}


def too_many(requested: int, had: int, limit: int = 3) -> dict[str, Any]:
    figures = {"product_id": "LAMP", "requested": requested, "limit": limit, "taken": had}
    return {"type": "/problems/quantity-limit", **figures}


async def buy(shopper: httpx.AsyncClient, key: str, quantity: int, token: str = "tok_ok") -> httpx.Response:
    await fill_cart(shopper, quantity=quantity)
    return await check_out(shopper, key, token)


async def test_a_limit_is_set_changed_and_taken_away(shop: CommandShop) -> None:
    moon = {"sku": "MOON", "title": "Moon", "category": ["Home"], "price": {"amount": 1, "currency": "GBP"}}
    added = await shop.operator.post("/v1/products", json={**moon, "limit_per_customer": 2})
    assert (added.status_code, added.json()["version"]) == (201, 2)
    before = await shop.store.last_position()
    for wanted in ({"limit_per_customer": 5}, {"title": "Moon lamp"}, {"limit_per_customer": None}):
        assert (await shop.operator.patch("/v1/products/MOON", json=wanted)).status_code == 200
    assert shop.topics(before) == ["product.limited.v1", "product.revised.v1", "product.limited.v1"]
    for wrong in (0, 1_000_001, 1.5, "3", True):
        refused = await shop.operator.patch("/v1/products/MOON", json={"limit_per_customer": wrong})
        assert refused.status_code == 422, wrong


async def test_it_holds_over_all_orders(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    assert (await buy(ada, "key-1", 2)).status_code == 201
    assert refusal(await ada.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 2})) == too_many(2, 2)
    assert (await buy(ada, "key-2", 1)).status_code == 201
    assert refusal(await ada.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 1})) == too_many(1, 3)
    assert await taken(shop) == [("allowance.taken.v1", 2), ("allowance.taken.v1", 1)]
    assert (await buy(shop.client(sub="bea"), "key-1", 3)).status_code == 201


async def test_the_checkout_decides_and_its_refusal_is_on_record(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    await limit(shop, None)
    await fill_cart(ada, quantity=5)
    await limit(shop, 3)
    before = await shop.store.last_position()
    refused = await check_out(ada, "key-1")
    assert refusal(refused) == too_many(5, 0)
    assert shop.topics(before) == ["receipt.opened.v1", "receipt.answered.v1"]
    await limit(shop, 5)
    replayed = await check_out(ada, "key-1")
    assert (replayed.json(), replayed.headers["Idempotent-Replayed"]) == (refused.json(), "true")
    assert (await check_out(ada, "key-2")).status_code == 201


async def test_all_is_one_append(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    await fill_cart(ada)
    before = await shop.store.last_position()
    await check_out(ada, "key-1")
    begun = shop.topics(before)[:8]
    assert {"allowance.opened.v1", "allowance.taken.v1", "checkout.allowances_used.v1", "stock.reserved.v1"} <= {*begun}
    assert "allowance.given_back.v1" not in shop.topics(before)


async def test_a_product_without_a_limit_has_none_of_it(shop: CommandShop) -> None:
    before = await shop.store.last_position()
    assert (await buy(shop.client(sub="ada"), "key-1", 9)).status_code == 201
    assert [topic for topic in shop.topics(before) if "allowance" in topic] == []


async def test_two_carts_at_once_cannot_both_have_the_last(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    """The customer's cart, and what a guest of theirs put in before: merged while the first is being paid."""
    await fill_cart(ada, quantity=2)
    paying = asyncio.create_task(check_out(ada, "key-1", "tok_slow_300"))
    guest = shop.client()
    await fill_cart(guest, quantity=3)
    ada.cookies.update(guest.cookies)
    assert (await ada.post("/v1/cart/merge")).status_code == 200
    assert (await paying).status_code == 201
    assert (await ada.put("/v1/cart/items/LAMP", json={"quantity": 1})).status_code == 200
    assert (await check_out(ada, "key-2")).status_code == 201
    assert refusal(await ada.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 1})) == too_many(1, 3)


async def test_what_is_being_bought_is_not_counted_twice_in_the_cart(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    await fill_cart(ada, quantity=2)
    assert (await check_out(ada, "key-1", "tok_webhook_later")).status_code == 202
    assert (await fill_cart(ada, quantity=1)).json()["items"][0]["quantity"] == 3
    assert refusal(await ada.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 1})) == too_many(4, 0)


async def test_fewer_can_be_had_of_what_is_too_many(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    await limit(shop, None)
    await fill_cart(ada, quantity=9)
    await limit(shop, 3)
    assert refusal(await ada.put("/v1/cart/items/LAMP", json={"quantity": 10})) == too_many(10, 0)
    for fewer in (8, 3):
        assert (await ada.put("/v1/cart/items/LAMP", json={"quantity": fewer})).status_code == 200
    assert (await check_out(ada, "key-1")).status_code == 201


async def test_declined_it_is_given_back(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    assert (await buy(ada, "key-1", 3, "tok_declined")).status_code == 402
    assert await taken(shop) == [("allowance.taken.v1", 3), ("allowance.given_back.v1", 3)]
    assert (await check_out(ada, "key-2")).status_code == 201


async def test_run_out_it_is_given_back(shop: CommandShop, ada: httpx.AsyncClient, clock: Clock) -> None:
    pending = await buy(ada, "key-1", 3, "tok_webhook_later")
    clock.advance(minutes=11)
    await shop.write_side.resumption.sweep()
    assert (await shop.order(pending.json()["order_id"]))["status"] == "payment_failed"
    assert await taken(shop) == [("allowance.taken.v1", 3), ("allowance.given_back.v1", 3)]


async def test_withdrawn_it_is_given_back_once(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    order_id = (await buy(ada, "key-1", 3, "tok_webhook_later")).json()["order_id"]
    for _ in range(2):
        assert (await ada.post(f"/v1/orders/{order_id}/cancel")).json()["status"] == "cancelled"
    assert (await shop.deliver_webhook(webhook(order_id, "declined", "late"))).status_code == 200
    assert await taken(shop) == [("allowance.taken.v1", 3), ("allowance.given_back.v1", 3)]


async def test_of_an_order_whose_money_was_not_held_any_more_it_is_given_back_once(
    shop: CommandShop, ada: httpx.AsyncClient
) -> None:
    order_id = (await buy(ada, "key-1", 3, "tok_capture_refused")).json()["order_id"]
    await shop.write_side.capturing.drain()
    assert (await shop.order(order_id))["status"] == "cancelled"
    assert (await ada.post(f"/v1/orders/{order_id}/cancel")).status_code == 200
    assert await taken(shop) == [("allowance.taken.v1", 3), ("allowance.given_back.v1", 3)]


async def test_cancelled_it_is_given_back_once_also_without_the_limit(
    shop: CommandShop, ada: httpx.AsyncClient
) -> None:
    order_id = (await buy(ada, "key-1", 2)).json()["order_id"]
    await limit(shop, None)
    for _ in range(2):
        assert (await ada.post(f"/v1/orders/{order_id}/cancel")).json()["status"] == "cancelled"
    assert await taken(shop) == [("allowance.taken.v1", 2), ("allowance.given_back.v1", 2)]


async def test_sent_back_it_is_not_given_back(shop: CommandShop, ada: httpx.AsyncClient) -> None:
    order_id = (await buy(ada, "key-1", 3)).json()["order_id"]
    parcel = f"/v1/orders/{order_id}/shipments/s1"
    assert (await shop.operator.post(f"{parcel}/pack")).status_code == 200
    sent = await shop.operator.post(f"{parcel}/ship", json={"carrier": "Post", "tracking_number": "T1"})
    assert sent.status_code == 200
    wanted = {"items": [{"product_id": "LAMP", "quantity": 3}], "reason": "too bright"}
    return_id = (await ada.post(f"/v1/orders/{order_id}/returns", json=wanted)).json()["return_id"]
    received = await shop.operator.post(f"/v1/orders/{order_id}/returns/{return_id}/receive")
    assert received.json()["status"] == "refunded"
    assert await taken(shop) == [("allowance.taken.v1", 3)]
    assert refusal(await ada.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 1})) == too_many(1, 3)


async def test_a_new_guest_has_an_allowance_of_their_own(shop: CommandShop) -> None:
    await limit(shop, 3)
    for _ in range(2):
        assert (await buy(shop.client(), "key-1", 3)).status_code == 201
