"""What the doctor says of a whole shop that runs: all is looked at, and there is nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from tests.e2e.client import Client, given_product
from tests.e2e.running_shop import RunningShop
from tests.waiting import eventually

TIMEOUT_SECONDS = 60


async def test_a_shop_that_sells_is_healthy(running: RunningShop) -> None:
    async with Client(running, "olga", "operator") as operator:
        await given_product(operator, "LAMP", stock=10)
    # Served by the provider at once, silently, later; refused; and given back.
    for token, status in (("tok_ok", 201), ("tok_timeout", 201), ("tok_webhook", 202), ("tok_declined", 402)):
        async with Client(running, f"ada-{token}") as shopper:
            await shopper.add("LAMP")
            answer = await shopper.check_out("key", token)
            assert answer.status_code == status, answer.text
            order_id = answer.json().get("order_id")
            if status == 202:
                await eventually(lambda: _status(shopper, order_id), lambda found: found == "placed")  # noqa: B023
            if token == "tok_ok":
                assert (await shopper.command("POST", f"/v1/orders/{order_id}/cancel")).status_code == 200

    code, told = await _doctor(running)

    assert (code, told["healthy"]) == (0, True), [check for check in told["checks"] if check["count"]]
    assert [away.partition(":")[0] for away in told["not_asked"]] == ["kafka"]
    assert {"webhook-waiting", "consumer-behind", "dead-letter"} <= {check["check"] for check in told["checks"]}


async def _status(shopper: Client, order_id: str) -> str:
    return str((await shopper.query(f"/v1/orders/{order_id}")).json()["status"])


async def _doctor(running: RunningShop) -> tuple[int, dict[str, Any]]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "counterfoil", "doctor", "--json"],
        env=running.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)
