"""An Idempotency-Key after its time: what was refused may be tried anew, what was bought is never bought again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import webhook

EXPIRED = "/problems/idempotency-key-expired"


def figures(answer: httpx.Response) -> tuple[int, Any, Any]:
    return answer.status_code, answer.json().get("type"), answer.json().get("order_id")


async def test_until_then_it_is_told_again(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    first = await check_out(shopper, "key-1")
    clock.advance(hours=24, microseconds=-1)
    again = await check_out(shopper, "key-1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert (await check_out(shopper, "key-1", "tok_other")).status_code == 422


@pytest.mark.parametrize("token", ["tok_ok", "tok_other"])
async def test_a_key_that_bought_never_buys_again(shop: CommandShop, clock: Clock, token: str) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1")).json()["order_id"]
    await fill_cart(shopper)
    clock.advance(hours=24)
    await shop.write_side.capturing.drain()
    before = await shop.store.last_position()
    for _ in range(2):
        assert figures(await check_out(shopper, "key-1", token)) == (409, EXPIRED, order_id)
    assert shop.topics(before) == []
    assert len(shop.provider.captured()) == 1
    assert (await check_out(shopper, "key-2")).status_code == 201


async def test_not_even_when_its_order_was_cancelled(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1")).json()["order_id"]
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel")).status_code == 200
    await fill_cart(shopper)
    clock.advance(hours=25)
    assert figures(await check_out(shopper, "key-1")) == (409, EXPIRED, order_id)


@pytest.mark.parametrize("token", ["tok_declined", "tok_insufficient_funds"])
async def test_a_key_that_was_declined_may_be_used_anew(shop: CommandShop, clock: Clock, token: str) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    assert (await check_out(shopper, "key-1", token)).status_code == 402
    clock.advance(hours=24)
    before = await shop.store.last_position()
    placed = await check_out(shopper, "key-1")
    assert placed.status_code == 201
    assert "Idempotent-Replayed" not in placed.headers
    assert "receipt.reopened.v1" in shop.topics(before)
    assert "receipt.opened.v1" not in shop.topics(before)
    again = await check_out(shopper, "key-1")
    assert (again.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (201, placed.json(), "true")
    clock.advance(hours=24)
    assert figures(await check_out(shopper, "key-1")) == (409, EXPIRED, placed.json()["order_id"])


async def test_a_key_that_was_refused_may_be_refused_anew(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client(sub="ada")
    assert (await check_out(shopper, "key-1")).json()["type"] == "/problems/empty-cart"
    clock.advance(hours=24)
    await fill_cart(shopper)
    wrong = {"amount": 1, "currency": "GBP"}
    refused = await check_out(shopper, "key-1", expected_total=wrong)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/price-changed")
    assert (await check_out(shopper, "key-1", expected_total=wrong)).json() == refused.json()
    assert (await check_out(shopper, "key-1")).status_code == 422


async def test_a_pending_order_keeps_its_key(shop: CommandShop, clock: Clock) -> None:
    """Told 202, and nothing more has come of it: nobody has swept since."""
    shopper = shop.client()
    await fill_cart(shopper)
    pending = await check_out(shopper, "key-1", "tok_webhook_later")
    assert pending.status_code == 202
    clock.advance(hours=24)
    assert figures(await check_out(shopper, "key-1", "tok_webhook_later")) == (409, EXPIRED, pending.json()["order_id"])


async def test_one_whose_pending_order_failed_may_be_used_anew(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "tok_webhook_later")).json()["order_id"]
    assert (await shop.deliver_webhook(webhook(order_id, "declined", "card_declined"))).status_code == 200
    clock.advance(hours=24)
    assert (await check_out(shopper, "key-1")).status_code == 201
    # What the provider says of the first order now is no answer to the second.
    assert (await shop.deliver_webhook(webhook(order_id, "authorised"))).status_code == 200
    assert (await check_out(shopper, "key-1")).headers["Idempotent-Replayed"] == "true"


async def test_a_clock_that_is_behind_tells_the_old_answer(shop: CommandShop, clock: Clock) -> None:
    shopper = shop.client()
    await fill_cart(shopper)
    first = await check_out(shopper, "key-1")
    clock.advance(days=-30)
    assert (await check_out(shopper, "key-1")).json() == first.json()


async def test_how_long_is_the_shops_to_say(tmp_path: Path, clock: Clock) -> None:
    async with CommandShop(tmp_path, clock, receipt_ttl_hours=48).running() as shop:
        await shop.given_product("LAMP", stock=5)
        shopper = shop.client()
        await fill_cart(shopper)
        placed = await check_out(shopper, "key-1")
        clock.advance(hours=47)
        assert (await check_out(shopper, "key-1")).json() == placed.json()
        clock.advance(hours=1)
        assert (await check_out(shopper, "key-1")).json()["type"] == EXPIRED
