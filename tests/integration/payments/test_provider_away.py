"""The provider's process is killed under a shop that sells: nobody pays twice, nothing is held, nobody waits long."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from commandside.payments.http_provider import HttpPaymentProvider
from tests.contract.payments.provider_process import ProviderProcess
from tests.unit.command_api.shop import CommandShop, check_out, fill_cart
from tests.waiting import eventually

CAUGHT_COUNT = 6
REFUSED_COUNT = 200
REFUSED_SECONDS = 0.1
REFUSED_WHILE_BUSY_SECONDS = 1.0
BACK_WITHIN_SECONDS = 5.0
ENDS_WITHIN_SECONDS = 60.0


async def test_a_provider_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    provider = ProviderProcess(tmp_path / "provider")
    with provider:
        async with HttpPaymentProvider(provider.url) as over_http:
            shop = CommandShop(
                tmp_path / "var",
                lambda: datetime.now(UTC),
                over_http,
                checkout_answer_within_seconds=2.0,
                payments_open_seconds=1.0,
                payments_failures_to_open=3,
            )
            async with shop.running(resume=True):
                await shop.given_product("LAMP", price=1999, stock=1_000)
                assert (await attempt(shop, "before")).status_code == 201
                await asyncio.to_thread(provider.kill)

                caught = await asyncio.gather(*(attempt(shop, f"caught-{n}") for n in range(CAUGHT_COUNT)))
                pending = [answer for answer in caught if answer.status_code == 202]
                assert pending, Counter(answer.status_code for answer in caught)
                assert all(answer.status_code in (202, 503) for answer in caught)
                reserved = (await shop.stock("LAMP"))["reserved"]
                assert reserved == len(pending)

                await refused_quickly(shop)
                assert (await shop.stock("LAMP"))["reserved"] == reserved, "who was refused holds nothing"

                await asyncio.to_thread(provider.start)
                began = time.monotonic()
                last = shop.client(sub="after")
                await fill_cart(last)
                served = await eventually(partial(check_out, last, "after"), lambda answer: answer.status_code != 503)
                assert served.status_code == 201
                assert time.monotonic() - began < BACK_WITHIN_SECONDS

                for answer in pending:
                    await placed(shop, answer.json()["order_id"])
                sold = len(pending) + 2
                assert await shop.stock("LAMP") == {
                    "on_hand": 1_000 - sold, "reserved": 0, "committed": sold, "available": 1_000 - sold,
                }  # fmt: skip
                charges = await eventually(partial(charges_of, provider), lambda charges: charges["count"] == sold)
                assert charges["amounts"] == {"GBP": 1999 * sold}


async def charges_of(provider: ProviderProcess) -> dict[str, Any]:
    charges: dict[str, Any] = (await asyncio.to_thread(provider.books))["charges"]
    return charges


async def attempt(shop: CommandShop, name: str) -> httpx.Response:
    shopper = shop.client(sub=name)
    await fill_cart(shopper)
    return await check_out(shopper, name)


async def refused_quickly(shop: CommandShop) -> None:
    shoppers = [shop.client(sub=f"refused-{number}") for number in range(REFUSED_COUNT)]
    for shopper in shoppers:
        await fill_cart(shopper)
    seconds = []
    for number, shopper in enumerate(shoppers):
        began = time.monotonic()
        answer = await check_out(shopper, f"refused-{number}")
        seconds.append(time.monotonic() - began)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/payments-unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    p50_seconds, p99_seconds = sorted(seconds)[len(seconds) // 2], sorted(seconds)[int(len(seconds) * 0.99)]
    print(f"refused: p50 {p50_seconds * 1e3:.1f} ms, p99 {p99_seconds * 1e3:.1f} ms")
    # On a machine that has nothing else to do the 99th percentile is within the same.
    assert p50_seconds <= REFUSED_SECONDS
    assert p99_seconds <= REFUSED_WHILE_BUSY_SECONDS


async def placed(shop: CommandShop, order_id: str) -> None:
    async def status() -> str:
        return str((await shop.order(order_id))["status"])

    await eventually(status, lambda found: found == "placed", ENDS_WITHIN_SECONDS)
