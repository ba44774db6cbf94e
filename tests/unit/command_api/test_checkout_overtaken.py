"""The order is settled, and goes on, while the request that began it still waits: told is what its repeats are told."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import being_asked, webhook


def order_of(shop: CommandShop) -> str:
    return next(str(each.event.originator_id) for each in shop.log() if each.event.TOPIC == "order.submitted.v1")


async def same_again(shopper: httpx.AsyncClient, token: str, told: httpx.Response) -> None:
    again = await check_out(shopper, "key-1", token)
    assert (again.status_code, again.json()) == (told.status_code, told.json())
    assert again.headers.get("ETag") == told.headers.get("ETag")
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_an_order_that_is_placed_by_webhook_and_cancelled_meanwhile(shop: CommandShop) -> None:
    shopper, token = shop.client(sub="ada"), "tok_slow_1000"
    await fill_cart(shopper)
    running = asyncio.create_task(check_out(shopper, "key-1", token))
    await being_asked(shop)
    order_id = order_of(shop)
    assert (await shop.deliver_webhook(webhook(order_id, "authorised"))).status_code == 200
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()["status"] == "cancelled"

    told = await running

    assert (told.status_code, told.json()["status"], told.json()["version"]) == (201, "placed", 2)
    assert told.headers["ETag"] == '"2"'
    await same_again(shopper, token, told)


@pytest.mark.parametrize("kind", ["declined", "cancelled"])
async def test_an_order_that_is_declined_meanwhile(shop: CommandShop, kind: str) -> None:
    shopper, token = shop.client(sub="ada"), "tok_slow_1000"
    await fill_cart(shopper)
    running = asyncio.create_task(check_out(shopper, "key-1", token))
    await being_asked(shop)
    order_id = order_of(shop)
    event = webhook(order_id, kind, "card_declined" if kind == "declined" else None)
    assert (await shop.deliver_webhook(event)).status_code == 200

    told = await running

    assert (told.status_code, told.json()["type"]) == (402, "/problems/payment-declined")
    await same_again(shopper, token, told)


async def test_an_order_that_is_withdrawn_meanwhile(shop: CommandShop) -> None:
    shopper, token = shop.client(sub="ada"), "tok_slow_1000"
    await fill_cart(shopper)
    running = asyncio.create_task(check_out(shopper, "key-1", token))
    await being_asked(shop)
    order_id = order_of(shop)
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).json()["status"] == "cancelled"

    told = await running

    assert told.status_code == 402
    await same_again(shopper, token, told)
