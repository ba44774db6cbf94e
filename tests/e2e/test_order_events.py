"""An order's page that stays open while the order goes on its way, and while the shop is stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.client import Client, given_product
from tests.e2e.running_shop import RunningShop, a_shop

COMES_WITHIN_SECONDS = 10.0
STOP_LIMIT_SECONDS = 10


class Onlooker:
    """The order's changes as they come in, by name, until the answer ends."""

    def __init__(self) -> None:
        self.versions: list[int] = []
        self.changes: list[str] = []

    async def look_on(self, shop: RunningShop, order_id: str) -> None:
        url = f"{shop.query_url}/v1/orders/{order_id}/events"
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as http,
            http.stream("GET", url, headers=shop.token("ada")) as answer,
        ):
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    self.versions.append(int(line.removeprefix("id: ")))
                if line.startswith("data: "):
                    self.changes.append(json.loads(line.removeprefix("data: "))["change"])

    async def sees(self, change: str) -> None:
        until = time.monotonic() + COMES_WITHIN_SECONDS
        while change not in self.changes:
            assert time.monotonic() < until, self.changes
            await asyncio.sleep(0.02)


@pytest.mark.timeout(120)
async def test_each_change_comes_to_who_looks_on_and_a_stop_ends_it(tmp_path: Path) -> None:
    with a_shop(tmp_path) as shop:
        shop.start("--empty")
        async with Client(shop, "olga", "operator") as operator, Client(shop, "ada") as ada:
            await given_product(operator, "LAMP", stock=3)
            await ada.add("LAMP")
            order_id = (await ada.check_out("k")).json()["order_id"]
            assert (await ada.query(f"/v1/orders/{order_id}")).status_code == 200
            onlooker = Onlooker()
            looking = asyncio.create_task(onlooker.look_on(shop, order_id))
            await onlooker.sees("order.payment_captured")
            for step, body in (
                ("pack", None), ("ship", {"carrier": "Royal Mail", "tracking_number": "X1"}), ("deliver", None),
            ):  # fmt: skip
                await operator.command("POST", f"/v1/orders/{order_id}/shipments/s1/{step}", body)
                name = {"pack": "packed", "ship": "shipped", "deliver": "delivered"}[step]
                await onlooker.sees(f"order.shipment_{name}")
            assert onlooker.versions == list(range(1, len(onlooker.versions) + 1))
            assert not looking.done()

        code, stopped_after_seconds = await asyncio.to_thread(shop.stop, signal.SIGTERM)
        assert (code, stopped_after_seconds < STOP_LIMIT_SECONDS) == (0, True), (code, stopped_after_seconds)
        # Whole to its end: an answer that the end of the grace cuts off is a broken one.
        await asyncio.wait_for(looking, timeout=5)
        assert "Traceback" not in shop.said(), shop.said()
