"""What an order's money came to, entry by entry; the provider's own books say the same."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from commandside import ledger
from commandside.payments.port import Refunded
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import PRICE, webhook


async def ledger_of(client: httpx.AsyncClient, order_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/orders/{order_id}/ledger")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def kinds(told: dict[str, Any]) -> list[tuple[str, int]]:
    return [(entry["kind"], entry["amount"]["amount"]) for entry in told["entries"]]


async def test_an_order_that_was_paid_for(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, quantity=2)
    order_id = (await check_out(shopper, "k")).json()["order_id"]
    await shop.write_side.capturing.drain()

    told = await ledger_of(shopper, order_id)

    assert kinds(told) == [("requested", 3998), ("authorised", 3998), ("captured", 3998)]
    assert (told["captured"]["amount"], told["kept"]["amount"], told["to_be_captured"]["amount"]) == (3998, 3998, 0)
    assert told["entries"][2]["reference"] == (await shop.order(order_id))["payment_reference"]
    assert shop.provider.captured()[order_id].amount == 3998


async def test_one_that_is_still_to_be_captured(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "k", "tok_capture_error_then_ok")).json()["order_id"]
    await shop.write_side.capturing.drain()

    told = await ledger_of(shopper, order_id)

    assert kinds(told) == [("requested", 1999), ("authorised", 1999)]
    assert (told["captured"]["amount"], told["to_be_captured"]["amount"]) == (0, 1999)


async def test_one_that_was_cancelled_and_paid_back(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "k")).json()["order_id"]
    await shop.write_side.capturing.drain()
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).status_code == 200

    told = await ledger_of(shopper, order_id)

    assert kinds(told)[3:] == [("refund_requested", 1999), ("refunded", 1999)]
    assert (told["refunded"]["amount"], told["kept"]["amount"], told["to_be_refunded"]["amount"]) == (1999, 0, 0)


async def test_one_that_was_declined(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    await check_out(shopper, "k", "tok_declined")
    order_id = next(iter(r.event.order_id for r in shop.log() if r.event.TOPIC == "checkout.started.v1"))  # type: ignore[union-attr]

    told = await ledger_of(shopper, order_id)

    assert kinds(told) == [("requested", 1999), ("declined", 1999)]
    assert told["authorised"]["amount"] == 0


async def test_one_that_was_declined_and_taken_all_the_same(
    shop: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refunded(*_: Any) -> Refunded:
        return Refunded("re-1")

    monkeypatch.setattr(shop.provider, "refund", refunded)
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    await check_out(shopper, "k", "tok_declined")
    order_id = next(iter(r.event.order_id for r in shop.log() if r.event.TOPIC == "checkout.started.v1"))  # type: ignore[union-attr]
    assert (await shop.deliver_webhook(webhook(order_id, "captured", captured=PRICE))).status_code == 200
    clock.advance(minutes=1)
    await shop.write_side.resumption.sweep()

    told = await ledger_of(shopper, order_id)

    assert kinds(told)[2:] == [("captured", 1999), ("refund_requested", 1999), ("refunded", 1999)]
    assert (told["captured"]["amount"], told["refunded"]["amount"], told["kept"]["amount"]) == (1999, 1999, 0)


async def test_one_that_was_tried_again_and_again(
    shop: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PAGE_LIMIT_EVENTS", 2)
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "k", "tok_capture_error_then_ok")).json()["order_id"]
    await shop.write_side.capturing.drain()
    shop.provider.unreachable = True
    for _ in range(2):
        clock.advance(minutes=10)
        await shop.write_side.resumption.sweep()
    shop.provider.unreachable = False
    clock.advance(minutes=10)
    await shop.write_side.resumption.sweep()

    assert kinds(await ledger_of(shopper, order_id))[2:] == [("captured", 1999)]


async def test_it_is_nobody_elses(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    url = f"/v1/orders/{(await check_out(shopper, 'k')).json()['order_id']}/ledger"
    for roles in (["operator"], ["auditor"]):
        assert (await shop.client(sub="x", roles=roles).get(url)).status_code == 200
    for stranger in (shop.client(sub="bo"), shop.client()):
        assert (await stranger.get(url)).status_code == 404
    assert (await shopper.get("/v1/orders/nonsense/ledger")).status_code == 404
    assert (await shopper.get(f"{url}?at=now")).status_code == 422
