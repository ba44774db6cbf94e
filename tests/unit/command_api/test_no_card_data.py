"""A card's number that is sent in a token's place goes nowhere: not into the log, not to the provider, not back."""

from __future__ import annotations

import pytest

from tests.unit.command_api.shop import CommandShop, check_out, fill_cart


@pytest.mark.parametrize("number", ["4242424242424242", "4242 4242 4242 4242", "3782-822463-10005"])
async def test_a_cards_number_is_refused(shop: CommandShop, number: str) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    before, calls = await shop.store.last_position(), dict(shop.provider.calls)

    refused = await check_out(shopper, "key-1", number)

    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-input")
    assert refused.json()["errors"][0]["field"] == "body.payment_token"
    assert number not in refused.text
    assert (shop.topics(before), shop.provider.calls) == ([], calls)
    assert (await check_out(shopper, "key-1")).status_code == 201, "the key was not used up"


@pytest.mark.parametrize("token", ["4242424242424241", "42424242424", "pm_4242424242424242"])
async def test_what_only_looks_like_one_is_the_providers_to_judge(shop: CommandShop, token: str) -> None:
    shopper = shop.client(sub="ada")
    await fill_cart(shopper)
    declined = await check_out(shopper, "key-1", token)
    assert (declined.status_code, declined.json()["reason"]) == (402, "unknown_token")
