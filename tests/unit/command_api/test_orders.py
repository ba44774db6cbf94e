from __future__ import annotations

from typing import Any

import httpx
import pytest

from commandside.payments.port import Payment, RefundOutcome, RefundRefused
from domain.values import Money
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.waiting import eventually


async def placed(shop: CommandShop, shopper: httpx.AsyncClient, quantity: int = 1) -> dict[str, Any]:
    await fill_cart(shopper, quantity=quantity)
    order: dict[str, Any] = (await check_out(shopper, f"key-{await shop.store.last_position()}")).json()
    return order


async def move(shop: CommandShop, order: dict[str, Any], shipment: str, step: str) -> httpx.Response:
    body = {"carrier": "Owl Post", "tracking_number": "OP-1"} if step == "ship" else None
    return await shop.operator.post(f"/v1/orders/{order['order_id']}/shipments/{shipment}/{step}", json=body)


async def delivered(shop: CommandShop, shopper: httpx.AsyncClient, quantity: int = 1) -> dict[str, Any]:
    order = await placed(shop, shopper, quantity)
    for shipment in order["shipments"]:
        for step in ("pack", "ship", "deliver"):
            assert (await move(shop, order, shipment["shipment_id"], step)).status_code == 200
    return order


async def test_cancelled_before_it_is_packed_restocks_and_refunds(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order = await placed(shop, shopper, 3)
    cancelled = await shopper.post(f"/v1/orders/{order['order_id']}/cancel", json={"reason": "too dark"})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["payment"]["status"] == "refunded"
    assert await shop.stock("LAMP") == {"on_hand": 10, "reserved": 0, "committed": 0, "available": 10}
    assert shop.provider.refunded() == {order["order_id"]: Money(3 * 1999, "GBP")}
    before = await shop.store.last_position()
    again = await shopper.post(f"/v1/orders/{order['order_id']}/cancel")
    assert (again.status_code, again.json()) == (200, cancelled.json())
    assert shop.topics(before) == []


async def test_cancelled_while_the_payment_is_awaited_nothing_is_charged_or_held(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, quantity=3)
    order_id = (await check_out(shopper, "key-1", "tok_slow_60000")).json()["order_id"]
    cancelled = await shopper.post(f"/v1/orders/{order_id}/cancel", json={"reason": "took too long"})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert cancelled.json()["payment"] == {"status": "failed", "reference": None}
    assert await shop.stock("LAMP") == {"on_hand": 10, "reserved": 0, "committed": 0, "available": 10}
    assert shop.provider.authorised() == {}
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).status_code == 200
    # The cart is as it was, and free for another checkout.
    assert (await check_out(shopper, "key-2")).json()["items"][0]["quantity"] == 3


async def test_a_pending_order_whose_money_is_held_after_all_is_cancelled_and_let_go(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_webhook")).json()["order_id"]

    async def held() -> dict[str, Money]:
        return shop.provider.authorised()

    await eventually(held, lambda held: order_id in held)
    cancelled = (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()
    assert (cancelled["status"], cancelled["payment"]["status"]) == ("cancelled", "failed")
    assert (shop.provider.authorised(), shop.provider.captured()) == ({}, {})


async def test_a_pending_order_is_not_cancelled_while_nobody_knows_whether_it_is_paid(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_webhook")).json()["order_id"]
    shop.provider.unreachable = True
    before = await shop.store.last_position()
    refused = await shopper.post(f"/v1/orders/{order_id}/cancel")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/payments-unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert shop.topics(before) == []


async def test_a_refund_that_cannot_be_made_now_is_made_later(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order = await placed(shop, shopper)
    await shop.write_side.capturing.drain()
    shop.provider.unreachable = True
    cancelled = await shopper.post(f"/v1/orders/{order['order_id']}/cancel")
    assert (cancelled.json()["status"], cancelled.json()["payment"]["status"]) == ("cancelled", "captured")
    shop.provider.unreachable = False
    shop.clock.advance(minutes=1)  # type: ignore[attr-defined]
    assert await shop.write_side.resumption.sweep() == 1
    assert shop.provider.refunded() == {order["order_id"]: Money(1999, "GBP")}
    assert (await shop.order(order["order_id"]))["payment_status"] == "refunded"


async def test_once_packed_it_cannot_be_cancelled(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order = await placed(shop, shopper)
    assert (await move(shop, order, "s1", "pack")).json()["status"] == "packed"
    before = await shop.store.last_position()
    refused = await shopper.post(f"/v1/orders/{order['order_id']}/cancel")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/invalid-transition")
    assert refused.json()["status"] == 409
    assert refused.json()["current_status"] == "packed"
    assert shop.topics(before) == []


async def test_a_shipment_goes_its_way_and_no_other(shop: CommandShop) -> None:
    order = await placed(shop, shop.client(sub="ada"))
    for step in ("ship", "deliver"):
        assert (await move(shop, order, "s1", step)).status_code == 409
    assert (await move(shop, order, "s1", "pack")).status_code == 200
    assert (await move(shop, order, "s1", "pack")).status_code == 409
    shipped = (await move(shop, order, "s1", "ship")).json()
    assert (shipped["status"], shipped["shipments"][0]["tracking_number"]) == ("shipped", "OP-1")
    assert (await move(shop, order, "s1", "deliver")).json()["status"] == "delivered"
    assert (await move(shop, order, "s2", "pack")).status_code == 404


async def test_the_least_advanced_shipment_speaks_for_the_order(shop: CommandShop) -> None:
    await shop.given_stock("LAMP", 5, "north")
    order = await placed(shop, shop.client(sub="ada"), 12)
    said = [
        (await move(shop, order, shipment, step)).json()["status"]
        for shipment, step in (("s1", "pack"), ("s1", "ship"), ("s2", "pack"), ("s2", "ship"), ("s1", "deliver"))
    ]
    assert said == ["processing", "processing", "packed", "shipped", "shipped"]
    final = (await move(shop, order, "s2", "deliver")).json()
    assert final["status"] == "delivered"
    statuses = [entry["status"] for entry in final["history"]]
    assert statuses == ["pending_payment", "placed", "processing", "packed", "shipped", "delivered"]
    assert final["history"][-1]["by"] == "operator:olga"


async def test_a_part_comes_back_is_restocked_and_refunded(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order = await delivered(shop, shopper, 3)
    url = f"/v1/orders/{order['order_id']}/returns"
    wanted = {"items": [{"product_id": "LAMP", "quantity": 2}], "reason": "two too many"}
    asked = await shopper.post(url, json=wanted)
    assert asked.status_code == 201
    received = await shop.operator.post(f"{url}/{asked.json()['return_id']}/receive")
    assert received.json()["payment"]["status"] == "partially_refunded"
    assert received.json()["status"] == "delivered"
    assert received.json()["returns"][0]["status"] == "received"
    assert shop.provider.refunded() == {order["order_id"]: Money(2 * 1999, "GBP")}
    assert await shop.stock("LAMP") == {"on_hand": 9, "reserved": 0, "committed": 1, "available": 9}
    before = await shop.store.last_position()
    again = await shop.operator.post(f"{url}/{asked.json()['return_id']}/receive")
    assert (again.status_code, again.json()) == (200, received.json())
    assert shop.topics(before) == []
    too_many = await shopper.post(url, json=wanted)
    assert (too_many.status_code, too_many.json()["returnable"]) == (409, 1)


async def test_a_return_that_is_asked_for_again_under_its_key_is_the_same(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order = await delivered(shop, shopper, 3)
    url, key = f"/v1/orders/{order['order_id']}/returns", {"Idempotency-Key": "key-1"}
    wanted = {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "broken"}
    asked = await shopper.post(url, json=wanted, headers=key)
    before = await shop.store.last_position()
    again = await shopper.post(url, json=wanted, headers=key)
    other = await shopper.post(url, json={**wanted, "reason": "ugly"}, headers=key)
    assert (asked.status_code, again.status_code, again.json()) == (201, 201, asked.json())
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert (await shopper.post(url, json=wanted, headers={"Idempotency-Key": ""})).status_code == 400
    assert shop.topics(before) == []
    assert (await shopper.post(url, json=wanted)).json() != asked.json()


async def test_when_all_is_back_and_paid_back_the_order_is_refunded(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order = await delivered(shop, shopper, 2)
    url = f"/v1/orders/{order['order_id']}/returns"
    asked = await shopper.post(url, json={"items": [{"product_id": "LAMP", "quantity": 2}], "reason": "dark"})
    received = (await shop.operator.post(f"{url}/{asked.json()['return_id']}/receive")).json()
    assert (received["status"], received["payment"]["status"]) == ("refunded", "refunded")
    assert [entry["status"] for entry in received["history"]][-2:] == ["returned", "refunded"]


async def test_nothing_comes_back_that_was_not_sent(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order = await placed(shop, shopper)
    wanted = {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "no"}
    refused = await shopper.post(f"/v1/orders/{order['order_id']}/returns", json=wanted)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-returnable")


@pytest.mark.parametrize("path", ["cancel", "returns"])
async def test_an_order_is_its_owners_and_the_operators(shop: CommandShop, path: str) -> None:
    order = await delivered(shop, shop.client(sub="ada"))
    url = f"/v1/orders/{order['order_id']}/{path}"
    body = {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "x"} if path == "returns" else {"reason": "x"}
    before = await shop.store.last_position()
    for stranger in (shop.client(), shop.client(sub="bob"), shop.client(sub="eve", roles=["auditor"])):
        assert (await stranger.post(url, json=body)).status_code == 404
    assert shop.topics(before) == []
    assert (await shop.operator.post(url, json=body)).status_code in (201, 409)


async def test_what_comes_back_goes_where_it_was_sent_from(shop: CommandShop) -> None:
    await shop.given_stock("LAMP", 5, "north")
    shopper = shop.client(sub="ada")
    order = await placed(shop, shopper, 12)  # 10 from main, 2 from north
    north = next(s["shipment_id"] for s in order["shipments"] if s["warehouse_id"] == "north")
    for step in ("pack", "ship"):
        assert (await move(shop, order, north, step)).status_code == 200
    url = f"/v1/orders/{order['order_id']}/returns"
    asked = await shopper.post(url, json={"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "no"})
    assert (await shop.operator.post(f"{url}/{asked.json()['return_id']}/receive")).status_code == 200
    assert (await shop.stock("LAMP", "north"))["on_hand"] == 4
    assert (await shop.stock("LAMP", "main"))["on_hand"] == 0


async def test_a_refund_that_is_refused_does_not_keep_back_the_next(
    shop: CommandShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper = shop.client(sub="ada")
    order = await delivered(shop, shopper, 3)
    url = f"/v1/orders/{order['order_id']}/returns"
    wanted = {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "no"}
    returns = [(await shopper.post(url, json=wanted)).json()["return_id"] for _ in range(2)]
    refund = shop.provider.refund

    async def refuses_the_first(payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        return RefundRefused("no") if returns[0] in refund_key else await refund(payment, refund_key, amount)

    monkeypatch.setattr(shop.provider, "refund", refuses_the_first)
    for return_id in returns:
        assert (await shop.operator.post(f"{url}/{return_id}/receive")).status_code == 200
    assert shop.provider.refunded() == {order["order_id"]: Money(1999, "GBP")}


async def test_an_id_of_another_kind_is_not_an_order(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    cart_id = (await fill_cart(shopper)).json()["cart_id"]
    assert (await shopper.post(f"/v1/orders/{cart_id}/cancel")).status_code == 404
    assert (await shop.operator.post(f"/v1/orders/{cart_id}/shipments/s1/pack")).status_code == 404


async def test_orders_that_are_not_there(shop: CommandShop) -> None:
    for order_id in ("nonsense", "01a1f86a-98ee-778a-a897-52d906e6d62b"):
        assert (await shop.client(sub="ada").post(f"/v1/orders/{order_id}/cancel")).status_code == 404
        assert (await shop.operator.post(f"/v1/orders/{order_id}/shipments/s1/pack")).status_code == 404
