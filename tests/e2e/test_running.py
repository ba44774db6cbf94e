"""Starting, stopping and what stays: figures that a user feels."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Client, given_product
from tests.e2e.running_shop import a_shop
from tests.machine import ensure_a_quick_start
from tests.waiting import eventually

START_LIMIT_SECONDS = 5
STOP_LIMIT_SECONDS = 10
MEMORY_LIMIT_MB = 450


def memory_mb(pid: int) -> float:
    """Of a process and all below it: its own pages, and its share of those it shares (Pss)."""
    own = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = sum(int(line.split()[1]) for line in own.splitlines() if line.startswith("Pss:"))
    used_mb = kilobytes / 1024
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # some of Postgres's come and go
            used_mb += memory_mb(int(child))
    return used_mb


@pytest.mark.timeout(120)
async def test_data_survives_and_a_restart_is_quick(tmp_path: Path) -> None:
    with a_shop(tmp_path) as shop:
        shop.start()  # with the demo shop in it
        assert shop.process is not None
        async with Client(shop, "olga", "operator") as operator, Client(shop, "ada") as shopper:
            await given_product(operator, "LAMP", stock=3)
            await shopper.add("LAMP", 2)
            order_id = (await shopper.check_out("k")).json()["order_id"]
            order = await eventually(lambda: shown(shopper, order_id), is_paid)
            catalogue = (await shopper.query("/v1/search")).json()["total"]
        used_mb = memory_mb(shop.process.pid)
        assert used_mb < MEMORY_LIMIT_MB, f"{used_mb:.0f} MB"
        code, stopped_after_seconds = shop.stop(signal.SIGTERM)
        assert (code, stopped_after_seconds < STOP_LIMIT_SECONDS) == (0, True), (code, stopped_after_seconds)

        ensure_a_quick_start(START_LIMIT_SECONDS, shop.start, shop.stop)
        async with Client(shop, "ada") as shopper:
            assert (await shopper.query(f"/v1/orders/{order_id}")).json() == order
            assert (await shopper.query("/v1/inventory/LAMP")).json()["available"] == 1
            assert (await shopper.query("/v1/search")).json()["total"] == catalogue
        code, stopped_after_seconds = shop.stop(signal.SIGINT)
        assert (code, stopped_after_seconds < STOP_LIMIT_SECONDS) == (0, True), (code, stopped_after_seconds)


async def shown(shopper: Client, order_id: str) -> dict[str, Any]:
    page: dict[str, Any] = (await shopper.query(f"/v1/orders/{order_id}")).json()
    return page


def is_paid(order: dict[str, Any]) -> bool:
    return "payment" in order and order["payment"]["status"] == "captured"
