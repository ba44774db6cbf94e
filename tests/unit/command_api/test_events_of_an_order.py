"""How many events an order leaves in the log: what docs/scaling.md reckons with."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.rules.sources import PROJECT
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart


@pytest.mark.parametrize(("lines_count", "events_count"), [(1, 14), (3, 20)])
async def test_it_is_what_the_arithmetic_takes_it_for(shop: CommandShop, lines_count: int, events_count: int) -> None:
    skus = [f"S{number}" for number in range(lines_count)]
    for sku in skus:
        await shop.given_product(sku, stock=10)
    shopper = shop.client()
    await fill_cart(shopper, skus[0])
    assert (await check_out(shopper, "first")).status_code == 201  # a cart is opened once
    await shop.write_side.capturing.drain()
    before = len(shop.log())

    for sku in skus:
        await fill_cart(shopper, sku)
    assert (await check_out(shopper, "second")).status_code == 201
    await shop.write_side.capturing.drain()

    topics = Counter(shop.topics(before))
    assert sum(topics.values()) == events_count, topics
    assert topics["cart.item_added.v1"] == lines_count, "a cart write is one event"
    page = " ".join((PROJECT / "docs/scaling.md").read_text().split())
    told = re.search(r"An order of one line leaves (\d+) events .*?, one of three lines (\d+)", page)
    assert told, "the page says both"
    assert str(events_count) in told.groups()
