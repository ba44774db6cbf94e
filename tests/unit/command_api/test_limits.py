"""How dear a cart and an order may be: what nobody could pay is said before anything is held for it."""

from __future__ import annotations

import pytest

from commandside.commands.fields import AMOUNT_LIMIT_MINOR
from commandside.payments.port import PaymentRefused, ProviderTimeout
from domain.values import TOTAL_LIMIT_MINOR
from tests.unit.command_api.conftest import Clock
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.unit.command_api.test_checkout import UNTOUCHED

LIMIT = {"amount": TOTAL_LIMIT_MINOR, "currency": "GBP"}


async def test_a_cart_that_comes_to_more_than_an_order_may_is_refused(shop: CommandShop) -> None:
    await shop.given_product("MOON", price=AMOUNT_LIMIT_MINOR, stock=1_000_000)
    shopper, guest = shop.client(sub="ada"), shop.client()
    await fill_cart(shopper, "MOON")
    await fill_cart(guest)
    before = await shop.store.last_position()
    shopper.cookies.update(guest.cookies)
    for refused in (
        await shopper.post("/v1/cart/items", json={"product_id": "MOON", "quantity": 999_999}),
        await shopper.post("/v1/cart/items", json={"product_id": "LAMP", "quantity": 1}),
        await shopper.put("/v1/cart/items/MOON", json={"quantity": 1_000_000}),
        await shopper.post("/v1/cart/merge"),
    ):
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/total-limit"), refused.text
        assert refused.json()["limit"] == LIMIT
    assert shop.topics(before) == []


async def test_one_that_has_become_too_dear_can_be_lessened(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper, quantity=9)
    dear = {"amount": AMOUNT_LIMIT_MINOR, "currency": "GBP"}
    assert (await shop.operator.patch("/v1/products/LAMP", json={"price": dear})).status_code == 200
    assert (await shopper.put("/v1/cart/items/LAMP", json={"quantity": 8})).status_code == 409
    lessened = await shopper.put("/v1/cart/items/LAMP", json={"quantity": 1})
    assert (lessened.status_code, lessened.json()["subtotal"]) == (200, dear)
    assert (await shopper.delete("/v1/cart")).json()["items"] == []


async def test_an_order_that_nobody_could_pay_is_refused_before_anything_is_held(shop: CommandShop) -> None:
    shopper = shop.client()
    await fill_cart(shopper, quantity=2)
    dear = {"amount": AMOUNT_LIMIT_MINOR, "currency": "GBP"}
    assert (await shop.operator.patch("/v1/products/LAMP", json={"price": dear})).status_code == 200
    refused = await check_out(shopper, "key-1", expected_total=dear)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/total-limit")
    assert refused.json()["limit"] == LIMIT
    assert str(2 * AMOUNT_LIMIT_MINOR) in refused.json()["detail"]
    assert await shop.stock("LAMP") == UNTOUCHED
    assert shop.provider.calls == {}
    again = await check_out(shopper, "key-1", expected_total=dear)
    assert (again.status_code, again.json()) == (409, refused.json())


async def test_an_order_of_just_the_limit_is_placed(shop: CommandShop) -> None:
    await shop.given_product("MOON", price=AMOUNT_LIMIT_MINOR, stock=1)
    shopper = shop.client()
    await fill_cart(shopper, "MOON")
    refused = await check_out(shopper, "key-1", shipping_method="express")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/total-limit")
    placed = await check_out(shopper, "key-2", shipping_method="standard")  # which costs nothing
    assert (placed.status_code, placed.json()["total"]) == (201, LIMIT)


async def test_what_the_provider_refuses_is_declined_at_once(
    shop: CommandShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> None:
        raise PaymentRefused("422")

    shopper = shop.client()
    await fill_cart(shopper)
    with monkeypatch.context() as refusing:
        refusing.setattr(shop.provider, "authorise", refuses)
        told = await check_out(shopper, "key-1")
    assert (told.status_code, told.json()["type"]) == (402, "/problems/payment-declined")
    assert told.json()["reason"] == "refused_by_provider"
    assert await shop.stock("LAMP") == UNTOUCHED
    assert (await check_out(shopper, "key-2")).status_code == 201


async def test_a_refusal_after_a_charge_without_an_answer_settles_nothing(
    shop: CommandShop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper = shop.client()
    await fill_cart(shopper)

    async def silent(*_: object) -> None:
        raise ProviderTimeout

    async def refuses(*_: object) -> None:
        raise PaymentRefused("401")

    with monkeypatch.context() as broken:
        broken.setattr(shop.provider, "find", silent)
        broken.setattr(shop.provider, "authorise", silent)
        assert (await check_out(shopper, "key-1")).status_code == 202
        broken.setattr(shop.provider, "authorise", refuses)
        clock.advance(minutes=1)
        await shop.write_side.resumption.sweep()
        assert (await shop.stock("LAMP"))["reserved"] == 1
    clock.advance(minutes=1)
    await shop.write_side.resumption.sweep()
    assert (await shop.stock("LAMP"))["committed"] == 1
