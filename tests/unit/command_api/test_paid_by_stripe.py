"""The whole command API, paid through the adapter for Stripe at a server of ours that answers as Stripe documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from commandside.payments.stripe_intent import KEY, ORDER_ID
from commandside.payments.stripe_provider import StripePaymentProvider
from counterfoil import wiring
from counterfoil.settings import Settings
from tests.fakes.stripe.objects import Json, event, payment_intent
from tests.fakes.stripe.server import API_KEY, WEBHOOK_SECRET, StripeServer
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.waiting import eventually


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with StripeServer() as server:
        yield server


@pytest.fixture
async def shop(server: StripeServer, tmp_path: Path) -> AsyncIterator[CommandShop]:
    given: dict[str, Any] = {
        "payments": "stripe",
        "stripe_api_key": API_KEY,
        "stripe_webhook_secret": WEBHOOK_SECRET,
        "stripe_api_base": server.url,
    }
    async with wiring.payment_provider(Settings(var=tmp_path, **given)) as provider:
        assert isinstance(provider, StripePaymentProvider)
        async with CommandShop(tmp_path, lambda: datetime.now(UTC), provider, **given).running() as running:
            await running.given_product("LAMP", price=1999, stock=10)
            yield running


async def delivered(shop: CommandShop, server: StripeServer, content: Json, **signed: Any) -> httpx.Response:
    body, header = server.webhook(content, **signed)
    return await shop.client().post("/v1/webhooks/payments", content=body, headers={"Stripe-Signature": header})


async def only_intent(server: StripeServer, status: str) -> Json:
    async def found() -> list[Json]:
        return list(server.books.intents.values())

    (intent,) = await eventually(found, lambda intents: [each["status"] for each in intents] == [status])
    return intent


async def test_an_order_is_placed_on_a_hold_and_its_money_then_taken(shop: CommandShop, server: StripeServer) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, quantity=2)

    answer = await check_out(shopper, "key-1", "pm_card_visa")

    assert answer.status_code == 201, answer.text
    intent = await only_intent(server, "succeeded")
    order_id = answer.json()["order_id"]
    assert intent["metadata"] == {KEY: order_id, ORDER_ID: order_id}
    assert (intent["amount_received"], intent["currency"]) == (2 * 1999, "gbp")
    for content in server.books.events * 2:
        assert (await delivered(shop, server, content)).status_code == 200
    assert (await shop.stock("LAMP"))["on_hand"] == 8
    assert (await shop.order(order_id))["status"] == "placed"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_authenticationRequired", "authentication_required"),
        ("tok_ok", "unknown_token"),
    ],
)
async def test_a_declined_card_is_told_and_gives_the_stock_back(
    shop: CommandShop, server: StripeServer, token: str, reason: str
) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)

    answer = await check_out(shopper, "key-1", token)

    assert answer.status_code == 402
    assert answer.json()["reason"] == reason
    assert (await shop.stock("LAMP"))["available"] == 10
    for content in server.books.events:
        assert (await delivered(shop, server, content)).status_code == 200
    assert (await shop.stock("LAMP"))["available"] == 10


async def test_an_order_of_nothing_that_stripe_takes_ends_at_once(shop: CommandShop, server: StripeServer) -> None:
    await shop.given_product("PIN", price=5, stock=1)
    shopper = shop.client(sub="ada")
    await fill_cart(shopper, "PIN")

    answer = await check_out(shopper, "key-1", "pm_card_visa")

    assert answer.status_code == 402
    assert server.books.intents == {}
    assert (await shop.stock("PIN"))["available"] == 1


async def test_an_outcome_that_only_the_webhook_tells_places_the_order(shop: CommandShop, server: StripeServer) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    answer = await check_out(shopper, "key-1", "pm_ours_slow_2500")
    assert answer.status_code == 202, answer.text
    await only_intent(server, "requires_capture")

    for content in server.books.events:
        assert (await delivered(shop, server, content)).status_code == 200

    assert (await shop.order(answer.json()["order_id"]))["status"] == "placed"
    await only_intent(server, "succeeded")


async def test_a_hold_of_long_ago_that_lapses_takes_nothing_from_the_order_that_was_paid_since(
    shop: CommandShop, server: StripeServer
) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    order_id = (await check_out(shopper, "key-1", "pm_card_visa")).json()["order_id"]
    forgotten = payment_intent(1999, "gbp", {KEY: order_id, ORDER_ID: order_id}, 0, status="canceled")

    assert (await delivered(shop, server, event("payment_intent.canceled", forgotten, 0))).status_code == 200

    assert (await shop.order(order_id))["status"] == "placed"
    await only_intent(server, "succeeded")


async def test_what_is_not_signed_by_stripe_is_a_400(shop: CommandShop, server: StripeServer) -> None:
    content = event("payment_intent.succeeded", payment_intent(1999, "gbp", {}, 0), 0)

    assert (await delivered(shop, server, content)).status_code == 200
    for signed in ({"secret": "whsec_of_somebody_else"}, {"at": 1_000_000_000}):
        refused = await delivered(shop, server, content, **signed)
        assert refused.status_code == 400
        assert refused.json()["type"] == "/problems/bad-signature"
    unsigned = await shop.client().post("/v1/webhooks/payments", json=content)
    assert unsigned.status_code == 400


def signature_parameters(shop: CommandShop) -> list[str]:
    operation = shop.app.openapi()["paths"]["/v1/webhooks/payments"]["post"]
    return [parameter["name"] for parameter in operation["parameters"]]


async def test_the_page_names_the_header_that_is_looked_at(shop: CommandShop, tmp_path: Path) -> None:
    assert signature_parameters(shop) == ["Stripe-Signature"]
    assert signature_parameters(CommandShop(tmp_path, lambda: datetime.now(UTC))) == ["Payment-Signature"]
