"""Stopping the shop while shoppers wait."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.e2e.client import Client, given_product
from tests.e2e.running_shop import RunningShop, a_shop
from tests.waiting import eventually

WAITING_COUNT = 5
STOP_LIMIT_SECONDS = 10
RESUMED_WITHIN_SECONDS = 40


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_who_waits_for_the_provider_is_told_that_the_order_is_pending(tmp_path: Path) -> None:
    with a_shop(tmp_path) as shop:
        shop.start("--empty")
        async with Client(shop, "olga", "operator") as operator:
            await given_product(operator, "LAMP", stock=WAITING_COUNT)
            shoppers = [Client(shop, f"shopper-{number}") for number in range(WAITING_COUNT)]
            for shopper in shoppers:
                await shopper.add("LAMP")
            waiting = [asyncio.create_task(shopper.check_out("k", "tok_slow_9000")) for shopper in shoppers]
            await eventually(lambda: under_way(shop), lambda count: count == WAITING_COUNT)

            code, stopped_after_seconds = await asyncio.to_thread(shop.stop, signal.SIGTERM)
            answers: list[httpx.Response] = await asyncio.gather(*waiting)

        assert (code, stopped_after_seconds < STOP_LIMIT_SECONDS) == (0, True), (code, stopped_after_seconds)
        for answer in answers:
            assert (answer.status_code, answer.json()["status"]) == (202, "pending_payment"), answer.text
            assert answer.headers["Location"].endswith(f"/v1/orders/{answer.json()['order_id']}")

        shop.start()
        for shopper, first in zip(shoppers, answers, strict=True):
            again = await shopper.check_out("k", "tok_slow_9000")
            assert (again.status_code, again.json()) == (first.status_code, first.json())
            status = partial(status_of, shopper, first)
            await eventually(status, lambda found: found == "placed", RESUMED_WITHIN_SECONDS)
            await shopper.__aexit__(None, None, None)


async def under_way(shop: RunningShop) -> int:
    counts: dict[str, int] = (await asyncio.to_thread(shop.books))["under_way"]
    return counts["count"]


async def status_of(shopper: Client, order: httpx.Response) -> str:
    status: str = (await shopper.query(f"/v1/orders/{order.json()['order_id']}")).json()["status"]
    return status
