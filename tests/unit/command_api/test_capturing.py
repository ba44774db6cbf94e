"""The money of a placed order is taken once, all but what is to go back already; and of no other order."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from commandside.payments.port import NOT_AUTHORISED, Captured, CaptureRefused, Declined, Payment
from domain.values import Money
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import PRICE, UNTOUCHED, webhook
from tests.waiting import eventually


async def placed(shopper: httpx.AsyncClient, token: str = "tok_ok") -> str:
    await fill_cart(shopper)
    answer = await check_out(shopper, f"key-{token}", token)
    assert (answer.status_code, answer.json()["payment"]["status"]) == (201, "authorised")
    order_id: str = answer.json()["order_id"]
    return order_id


async def payment_status(shop: CommandShop, order_id: str) -> str:
    status: str = (await shop.order(order_id))["payment_status"]
    return status


async def test_a_placed_order_is_captured_while_its_shopper_is_answered(shop: CommandShop) -> None:
    order_id = await placed(shop.client(sub="ada"))
    before = await shop.store.last_position()

    await shop.write_side.capturing.drain()

    assert shop.topics(before) == ["checkout.payment_captured.v1", "order.payment_captured.v1"]
    assert shop.provider.captured() == {order_id: PRICE}
    assert await payment_status(shop, order_id) == "captured"


async def test_a_checkout_that_is_declined_captures_nothing(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    assert (await check_out(shopper, "k", "tok_declined")).status_code == 402
    await shop.write_side.capturing.drain()
    assert (shop.provider.captured(), shop.provider.calls.get("capture")) == ({}, None)


@pytest.mark.parametrize("token", ["tok_capture_error_then_ok", "tok_capture_timeout"])
async def test_a_capture_without_an_answer_is_asked_for_again(shop: CommandShop, clock: Clock, token: str) -> None:
    order_id = await placed(shop.client(sub="ada"), token)
    await shop.write_side.capturing.drain()
    assert await payment_status(shop, order_id) == "authorised"
    assert await shop.write_side.resumption.sweep() == 0, "it has some seconds for that"

    clock.advance(seconds=11)
    assert await shop.write_side.resumption.sweep() == 1

    assert shop.provider.captured() == {order_id: PRICE}
    assert await payment_status(shop, order_id) == "captured"
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 0


async def test_cancelled_before_it_was_captured_it_is_never_taken(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order_id = await placed(shopper, "tok_capture_error_then_ok")
    await shop.write_side.capturing.drain()

    cancelled = (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()

    assert (cancelled["status"], cancelled["payment"]["status"]) == ("cancelled", "voided")
    assert (shop.provider.captured(), shop.provider.authorised(), shop.provider.refunded()) == ({}, {}, {})
    assert await shop.stock("LAMP") == UNTOUCHED


async def test_cancelled_while_the_provider_was_away_it_is_let_go_later(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    order_id = await placed(shopper, "tok_capture_error_then_ok")
    await shop.write_side.capturing.drain()
    shop.provider.unreachable = True
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()["payment"]["status"] == "authorised"
    shop.provider.unreachable = False
    clock.advance(minutes=1)
    assert await shop.write_side.resumption.sweep() == 1
    assert (await payment_status(shop, order_id), shop.provider.captured()) == ("voided", {})


async def test_captured_without_an_answer_and_then_cancelled_it_is_paid_back(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    order_id = await placed(shopper, "tok_capture_timeout")
    await shop.write_side.capturing.drain()
    assert shop.provider.captured() == {order_id: PRICE}

    cancelled = (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()

    assert (cancelled["status"], cancelled["payment"]["status"]) == ("cancelled", "refunded")
    assert shop.provider.refunded() == {order_id: PRICE}


async def test_one_that_was_sent_back_ends_whatever_the_provider_says_of_money_that_it_does_not_hold(
    shop: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_held(*_: Any) -> CaptureRefused:
        return CaptureRefused(NOT_AUTHORISED)

    async def declined(*_: Any) -> Declined:
        return Declined("card_declined")

    shopper = shop.client(sub="ada")
    order_id = await placed(shopper, "tok_capture_error_then_ok")
    await shop.write_side.capturing.drain()
    monkeypatch.setattr(shop.provider, "capture", not_held)
    monkeypatch.setattr(shop.provider, "cancel", declined)
    order = f"/v1/orders/{order_id}"
    await shop.operator.post(f"{order}/shipments/s1/pack")
    await shop.operator.post(f"{order}/shipments/s1/ship", json={"carrier": "post", "tracking_number": "T1"})
    clock.advance(minutes=1)
    assert await shop.write_side.resumption.sweep() == 1
    assert await payment_status(shop, order_id) == "authorised"

    back = {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "broken"}
    return_id = (await shopper.post(f"{order}/returns", json=back)).json()["return_id"]
    received = (await shop.operator.post(f"{order}/returns/{return_id}/receive")).json()

    assert (received["status"], received["payment"]["status"]) == ("refunded", "voided")
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 0


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_where_less_was_taken_by_hand_that_much_goes_back(
    shop: CommandShop, clock: Clock, cancelled_first: bool
) -> None:
    shopper = shop.client(sub="ada")
    order_id = await placed(shopper, "tok_capture_error_then_ok")
    await shop.write_side.capturing.drain()
    await shop.provider.capture(Payment(order_id, PRICE, "", order_id), Money(1000, "GBP"))
    clock.advance(minutes=1)
    if not cancelled_first:
        await shop.write_side.resumption.sweep()

    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()["status"] == "cancelled"

    assert shop.provider.refunded() == {order_id: Money(1000, "GBP")}
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 0
    again = (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()
    assert again["payment"]["status"] == "partially_refunded"


async def test_less_is_known_to_be_taken_where_a_webhook_says_so_before_the_order_is_placed(
    shop: CommandShop, clock: Clock
) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "k", "tok_webhook")).json()["order_id"]
    payment, some = Payment(order_id, PRICE, "", order_id), Money(1000, "GBP")
    await eventually(lambda: shop.provider.capture(payment, some), lambda outcome: isinstance(outcome, Captured))

    await shop.deliver_webhook(webhook(order_id, "captured", captured=some))
    await shop.write_side.capturing.drain()

    assert await payment_status(shop, order_id) == "captured"
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).status_code == 200
    assert shop.provider.refunded() == {order_id: some}


async def test_sent_back_in_part_before_the_capture_only_the_rest_is_taken(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, quantity=3)
    order_id = (await check_out(shopper, "k", "tok_capture_error_then_ok")).json()["order_id"]
    await shop.write_side.capturing.drain()
    shop.provider.unreachable = True
    shipment = f"/v1/orders/{order_id}/shipments/s1"
    await shop.operator.post(f"{shipment}/pack")
    await shop.operator.post(f"{shipment}/ship", json={"carrier": "post", "tracking_number": "T1"})
    one = {"items": [{"product_id": "LAMP", "quantity": 1}], "reason": "broken"}
    return_id = (await shopper.post(f"/v1/orders/{order_id}/returns", json=one)).json()["return_id"]
    received = await shop.operator.post(f"/v1/orders/{order_id}/returns/{return_id}/receive")
    assert (received.status_code, received.json()["payment"]["status"]) == (200, "authorised")
    shop.provider.unreachable = False
    clock.advance(minutes=1)

    assert await shop.write_side.resumption.sweep() == 1

    assert shop.provider.captured() == {order_id: PRICE * 2}
    assert shop.provider.refunded() == {}
    assert await payment_status(shop, order_id) == "partially_refunded"
    clock.advance(minutes=10)
    assert await shop.write_side.resumption.sweep() == 0


async def test_an_order_whose_money_is_not_held_any_more_is_cancelled_and_restocked(shop: CommandShop) -> None:
    order_id = await placed(shop.client(sub="ada"), "tok_capture_refused")
    await shop.write_side.capturing.drain()
    order = await shop.order(order_id)
    assert (order["status"], order["payment_status"]) == ("cancelled", "voided")
    assert await shop.stock("LAMP") == UNTOUCHED
    assert shop.provider.captured() == {}


async def test_one_that_is_packed_already_waits_for_somebody_to_look(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    order_id = await placed(shopper, "tok_capture_error_then_ok")
    await shop.write_side.capturing.drain()
    assert (await shop.operator.post(f"/v1/orders/{order_id}/shipments/s1/pack")).status_code == 200
    await shop.provider.cancel(Payment(order_id, PRICE, "", order_id))  # as a provider does whose patience is over
    clock.advance(minutes=1)
    before = await shop.store.last_position()

    assert await shop.write_side.resumption.sweep() == 1

    assert shop.topics(before) == ["checkout.postponed.v1"]
    order = await shop.order(order_id)
    assert (order["status"], order["payment_status"]) == ("packed", "authorised")


async def test_a_webhook_tells_of_the_capture_before_its_answer(shop: CommandShop) -> None:
    order_id = await placed(shop.client(sub="ada"), "tok_capture_timeout")
    assert (await shop.deliver_webhook(webhook(order_id, "captured", captured=PRICE))).status_code == 200
    assert await payment_status(shop, order_id) == "captured"
    await shop.write_side.capturing.drain()
    assert [topic for topic in shop.topics(0) if topic == "checkout.payment_captured.v1"] == [
        "checkout.payment_captured.v1"
    ]


async def test_beyond_its_limit_captures_are_left_to_the_resumption(
    shop: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.write_side.capturing, "_under_way_limit_count", 0)
    order_id = await placed(shop.client(sub="ada"))
    await shop.write_side.capturing.drain()
    assert shop.provider.captured() == {}
    clock.advance(seconds=11)
    await shop.write_side.resumption.sweep()
    assert shop.provider.captured() == {order_id: PRICE}
