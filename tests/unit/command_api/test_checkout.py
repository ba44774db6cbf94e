from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commandside.payments.port import Captured, Payment
from commandside.payments.webhook import WebhookEvent
from domain.values import Money
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.waiting import eventually

PRICE = Money(1999, "GBP")
UNTOUCHED = {"on_hand": 10, "reserved": 0, "committed": 0, "available": 10}


def webhook(
    order_id: str,
    kind: str,
    reason: str | None = None,
    *,
    amount: int = 1999,
    key: str | None = None,
    captured: Money | None = None,
) -> bytes:
    event = WebhookEvent(
        event_id=f"evt-{kind}",
        type=f"payment.{kind}",  # type: ignore[arg-type]
        key=key or order_id,
        order_id=order_id,
        reference="pay-1",
        amount=Money(amount, "GBP"),
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        reason=reason,
        captured=captured,
    )
    return msgspec.json.encode(event)


async def being_asked(shop: CommandShop) -> None:
    async def requests_count() -> int:
        return shop.provider.calls.get("authorise", 0)

    await eventually(requests_count, bool)


def held_by(shop: CommandShop) -> Callable[[], Awaitable[dict[str, Money]]]:
    async def held() -> dict[str, Money]:
        return shop.provider.authorised()

    return held


async def test_a_paid_cart_becomes_a_placed_order(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper, quantity=2)
    answer = await check_out(shopper, "key-1")
    assert answer.status_code == 201
    order = answer.json()
    assert (order["status"], order["total"]) == ("placed", {"amount": 3998, "currency": "GBP"})
    assert order["payment"]["status"] == "authorised"
    assert [entry["status"] for entry in order["history"]] == ["pending_payment", "placed"]
    assert await shop.stock("LAMP") == {"on_hand": 8, "reserved": 0, "committed": 2, "available": 8}
    # The cart is closed: the next thing goes into an empty one.
    assert (await fill_cart(shopper)).json()["items"][0]["quantity"] == 1


async def test_checkout_is_two_appends_and_its_capture_a_third(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    before = await shop.store.last_position()
    await check_out(shopper, "key-1")
    await shop.write_side.capturing.drain()
    topics = shop.topics(before)
    assert sorted(topics[:5]) == [
        "cart.checkout_begun.v1",
        "checkout.started.v1",
        "order.submitted.v1",
        "receipt.opened.v1",
        "stock.reserved.v1",
    ]
    assert sorted(topics[5:10]) == [
        "cart.checked_out.v1",
        "checkout.completed.v2",
        "order.placed.v2",
        "receipt.answered.v1",
        "stock.committed.v1",
    ]
    assert sorted(topics[10:]) == ["checkout.payment_captured.v1", "order.payment_captured.v1"]


async def test_a_declined_payment_leaves_everything_as_it_was(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper, quantity=3)
    answer = await check_out(shopper, "key-1", "tok_declined")
    assert (answer.status_code, answer.json()["type"]) == (402, "/problems/payment-declined")
    assert await shop.stock("LAMP") == UNTOUCHED
    again = await check_out(shopper, "key-2", "tok_ok")
    assert (again.status_code, again.json()["items"][0]["quantity"]) == (201, 3)


async def test_the_same_key_is_told_the_same_and_nothing_happens(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    first = await check_out(shopper, "key-1")
    await shop.write_side.capturing.drain()
    before = await shop.store.last_position()
    second = await check_out(shopper, "key-1")
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert shop.topics(before) == []


async def test_a_refusal_is_replayed_too(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper, quantity=9)
    other = shop.client()
    await fill_cart(other, quantity=5)
    assert (await check_out(other, "theirs")).status_code == 201
    refused = await check_out(shopper, "key-1")
    assert refused.status_code == 409
    assert refused.json() | {"detail": ""} == {
        "type": "/problems/insufficient-stock",
        "title": "Insufficient stock",
        "status": 409,
        "detail": "",
        "product_id": "LAMP",
        "requested": 9,
        "available": 5,
    }
    await shop.given_stock("LAMP", 100)
    replayed = await check_out(shopper, "key-1")
    assert (replayed.status_code, replayed.json()) == (409, refused.json())
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert (await check_out(shopper, "key-2")).status_code == 201


async def test_a_key_with_another_body_is_refused(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    assert (await check_out(shopper, "key-1")).status_code == 201
    await shop.write_side.capturing.drain()
    before = await shop.store.last_position()
    other = await check_out(shopper, "key-1", "tok_declined")
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert shop.topics(before) == []


async def test_keys_are_each_shoppers_own(shop: CommandShop) -> None:
    ada, bob = shop.client(sub="ada"), shop.client(sub="bob")
    await fill_cart(ada)
    await fill_cart(bob)
    first, second = await check_out(ada, "same"), await check_out(bob, "same")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["order_id"] != second.json()["order_id"]


@pytest.mark.parametrize("same_key", [True, False])
async def test_while_one_checkout_runs_another_of_the_cart_waits_its_turn(shop: CommandShop, same_key: bool) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    running = asyncio.create_task(check_out(shopper, "key-1", "tok_slow_300"))
    await being_asked(shop)
    second = await check_out(shopper, "key-1" if same_key else "key-2", "tok_slow_300")
    assert (second.status_code, second.json()["type"]) == (409, "/problems/in-progress")
    assert int(second.headers["Retry-After"]) > 0
    assert (await running).status_code == 201
    assert len(shop.provider.authorised() | shop.provider.captured()) == 1


async def test_charged_without_an_answer_is_found_out(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    answer = await check_out(shopper, "key-1", "tok_timeout")
    assert (answer.status_code, answer.json()["status"]) == (201, "placed")
    assert len(shop.provider.authorised() | shop.provider.captured()) == 1


async def test_an_outcome_that_comes_by_webhook_late_and_twice(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    answer = await check_out(shopper, "key-1", "tok_webhook")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending_payment")
    order_id = answer.json()["order_id"]
    assert answer.headers["Location"] == f"http://127.0.0.1:8002/v1/orders/{order_id}"
    event = webhook(order_id, "authorised")
    assert (await shop.deliver_webhook(event)).status_code == 200
    assert (await shop.order(order_id))["status"] == "placed"
    before = await shop.store.last_position()
    assert (await shop.deliver_webhook(event)).status_code == 200
    assert shop.topics(before) == []
    assert await shop.stock("LAMP") == {"on_hand": 9, "reserved": 0, "committed": 1, "available": 9}
    # The key still says what its first request was told.
    assert (await check_out(shopper, "key-1", "tok_webhook")).status_code == 202


@pytest.mark.parametrize("token", ["tok_ok", "tok_webhook"])
async def test_where_to_find_the_order_is_said_in_whole(tmp_path: Path, clock: Clock, token: str) -> None:
    queries = "https://shop.example/queries"
    async with CommandShop(tmp_path, clock, query_public_url=f"{queries}/").running() as shop:
        await shop.given_product("LAMP", stock=1)
        shopper = shop.client(sub="ada")
        await fill_cart(shopper)
        answer = await check_out(shopper, "key-1", token)
    assert answer.status_code in (201, 202)
    assert answer.headers["Location"] == f"{queries}/v1/orders/{answer.json()['order_id']}"


async def test_a_checkout_of_a_cart_that_has_moved_on_is_refused_and_reserves_nothing(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    seen = (await fill_cart(shopper)).headers["ETag"]
    now = (await fill_cart(shopper)).headers["ETag"]
    before = await shop.store.last_position()
    stale = await check_out(shopper, "key-1", if_match=seen)
    assert (stale.status_code, stale.json()["type"]) == (412, "/problems/stale-version")
    assert shop.topics(before) == []
    assert shop.provider.calls == {}
    assert (await check_out(shopper, "key-2", if_match=now)).status_code == 201


async def test_a_webhook_that_declines_gives_the_stock_back(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, quantity=4)
    order_id = (await check_out(shopper, "key-1", "tok_webhook")).json()["order_id"]
    assert (
        await shop.deliver_webhook(webhook(order_id, "declined", "stolen_card", amount=4 * 1999))
    ).status_code == 200
    assert (await shop.order(order_id))["status"] == "payment_failed"
    assert await shop.stock("LAMP") == UNTOUCHED


@pytest.mark.parametrize("wrong", [{"amount": 1}, {"key": "another-payment"}])
async def test_a_webhook_about_another_payment_places_nothing(shop: CommandShop, wrong: dict[str, Any]) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_webhook")).json()["order_id"]
    before = await shop.store.last_position()
    assert (await shop.deliver_webhook(webhook(order_id, "authorised", **wrong))).status_code == 200
    assert shop.topics(before) == []


async def test_a_webhook_of_no_order_is_taken_and_changes_nothing(shop: CommandShop) -> None:
    before = await shop.store.last_position()
    for order_id in ("nonsense", "01a1f86a-98ee-778a-a897-52d906e6d62b"):
        assert (await shop.deliver_webhook(webhook(order_id, "authorised"))).status_code == 200
    assert shop.topics(before) == []


async def test_taken_by_the_provider_after_it_was_declined_it_goes_back(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_webhook")).json()["order_id"]
    await shop.deliver_webhook(webhook(order_id, "declined", "stolen_card"))
    await eventually(held_by(shop), lambda held: order_id in held)
    # As somebody does at the provider's own desk.
    taken = await shop.provider.capture(Payment(order_id, PRICE, "tok_webhook", order_id), PRICE)
    assert isinstance(taken, Captured)
    await shop.deliver_webhook(webhook(order_id, "captured", captured=PRICE))
    clock.advance(minutes=1)
    await shop.write_side.resumption.sweep()
    assert shop.provider.refunded() == {order_id: PRICE}
    assert (await shop.order(order_id))["status"] == "payment_failed"


async def test_a_provider_that_fails_in_an_unforeseen_way_keeps_no_stock_and_nobody_waiting(
    shop: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper, other = shop.client(sub="ada"), shop.client(sub="bob")
    await fill_cart(shopper)
    await fill_cart(other)

    async def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("not what the port says")

    with monkeypatch.context() as broken:
        broken.setattr(shop.provider, "authorise", breaks)
        broken.setattr(shop.provider, "cancel", breaks)
        assert (await check_out(shopper, "key-1")).status_code == 500
        clock.advance(minutes=11)
        await shop.write_side.resumption.sweep()
        assert await shop.stock("LAMP") == UNTOUCHED
    assert (await check_out(other, "key-2")).status_code == 201


@pytest.mark.parametrize("header", ["", "t=1,v1=00", "nonsense", "t=1772366400,v1=" + "0" * 64])
async def test_an_unsigned_webhook_changes_nothing(shop: CommandShop, header: str) -> None:
    before = await shop.store.last_position()
    answer = await shop.client().post(
        "/v1/webhooks/payments", content=webhook("x", "authorised"), headers={"Payment-Signature": header}
    )
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-signature")
    assert shop.topics(before) == []


async def test_another_price_than_expected_is_shown_and_not_charged(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    old, new = {"amount": 1999, "currency": "GBP"}, {"amount": 2499, "currency": "GBP"}
    assert (await shop.operator.patch("/v1/products/LAMP", json={"price": new})).status_code == 200
    refused = await check_out(shopper, "key-1", expected_total=old)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/price-changed")
    assert (refused.json()["old"], refused.json()["new"]) == (old, new)
    assert shop.provider.calls == {}
    confirmed = await check_out(shopper, "key-2", expected_total=new)
    assert (confirmed.status_code, confirmed.json()["total"]) == (201, new)


async def test_what_is_added_while_the_payment_runs_stays_in_the_cart(shop: CommandShop) -> None:
    await shop.given_product("VASE", stock=5)
    shopper = shop.client()
    await fill_cart(shopper)
    running = asyncio.create_task(check_out(shopper, "key-1", "tok_slow_300"))
    await being_asked(shop)
    await fill_cart(shopper, "VASE", 2)
    await fill_cart(shopper, "LAMP", 1)
    assert len((await running).json()["items"]) == 1
    left = (await shopper.delete("/v1/cart/items/NOTHING")).json()
    assert {item["product_id"]: item["quantity"] for item in left["items"]} == {"VASE": 2, "LAMP": 1}


async def test_nothing_in_the_cart_is_nothing_to_check_out(shop: CommandShop) -> None:
    for shopper in (shop.client(), shop.client(sub="ada")):
        answer = await check_out(shopper, "key-1")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/empty-cart")


async def test_an_order_from_two_warehouses_has_two_shipments(shop: CommandShop) -> None:
    await shop.given_stock("LAMP", 4, "north")
    shopper = shop.client()
    await fill_cart(shopper, quantity=12)
    order = (await check_out(shopper, "key-1")).json()
    sent = {s["warehouse_id"]: s["items"][0]["quantity"] for s in order["shipments"]}
    assert sent == {"main": 10, "north": 2}
    assert (await shop.stock("LAMP", "north"))["available"] == 2


async def test_a_reservation_that_runs_out_is_released(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, quantity=10)
    order_id = (await check_out(shopper, "key-1", "tok_slow_60000")).json()["order_id"]
    shop.provider.unreachable = True
    assert (await shop.stock("LAMP"))["reserved"] == 10
    clock.advance(seconds=599)
    await shop.write_side.resumption.sweep()
    assert (await shop.stock("LAMP"))["reserved"] == 10
    clock.advance(seconds=2)
    await shop.write_side.resumption.sweep()
    assert await shop.stock("LAMP") == UNTOUCHED
    assert (await shop.order(order_id))["status"] == "payment_failed"
    # The provider has still to say whether it charged; until then the checkout is not over.
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 1
    shop.provider.unreachable = False
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 1
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 0


async def test_held_after_the_reservation_ran_out_it_is_let_go(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_webhook")).json()["order_id"]
    shop.provider.unreachable = True
    clock.advance(minutes=11)
    await shop.write_side.resumption.sweep()
    assert await shop.stock("LAMP") == UNTOUCHED
    await eventually(held_by(shop), lambda held: order_id in held)
    # Its word comes too late, and changes nothing.
    assert (await shop.deliver_webhook(webhook(order_id, "authorised"))).status_code == 200
    assert (await shop.order(order_id))["status"] == "payment_failed"
    shop.provider.unreachable = False
    clock.advance(minutes=6)
    assert await shop.write_side.resumption.sweep() == 1
    assert (shop.provider.authorised(), shop.provider.captured()) == ({}, {})
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 0


async def test_held_when_the_reservation_runs_out_the_order_is_placed(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_webhook")).json()["order_id"]
    await eventually(held_by(shop), lambda held: order_id in held)
    clock.advance(minutes=11)
    await shop.write_side.resumption.sweep()
    assert (await shop.order(order_id))["status"] == "placed"
    await shop.write_side.capturing.drain()
    assert shop.provider.captured() == {order_id: PRICE}
