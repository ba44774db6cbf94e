"""A key's answer is told again whole: its status, its body, and what its headers say of the order."""

from __future__ import annotations

from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import webhook


async def test_a_pending_answer_says_its_version_again_and_the_order_has_moved_on(shop: CommandShop) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    first = await check_out(shopper, "key-1", "tok_webhook")
    order_id = first.json()["order_id"]
    assert (first.status_code, first.headers["ETag"]) == (202, '"1"')
    assert (await shop.deliver_webhook(webhook(order_id, "authorised"))).status_code == 200
    assert (await shop.order(order_id))["status"] == "placed"

    again = await check_out(shopper, "key-1", "tok_webhook")

    assert (again.status_code, again.json()) == (202, first.json())
    for name in ("ETag", "Location"):
        assert again.headers[name] == first.headers[name]
    seen = {"If-Match": again.headers["ETag"]}
    assert (await shopper.post(f"/v1/orders/{order_id}/cancel", headers=seen)).status_code == 412


async def test_the_page_says_which_answers_may_be_a_repeat(shop: CommandShop) -> None:
    responses = shop.app.openapi()["paths"]["/v1/checkout"]["post"]["responses"]
    repeats = [status for status in responses if "Idempotent-Replayed" in responses[status].get("headers", {})]
    assert repeats == ["201", "202", "402", "409"]
