"""Read your own writes beyond one machine: what is committed goes by way of Kafka, and a query waits for it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from commandside.event_store.postgres import PostgresEventStore
from ops.server import Server
from tests.integration.readside.shop import collected, product, stock
from tests.integration.readside.test_processes import process, status
from tests.waiting import eventually

WITHIN_SECONDS = 60
# It waits two seconds before it says that what is asked for is not there yet.
LEAST_WAIT_SECONDS = 1.5
PARTS = ("relay", "worker", "query")


@pytest.mark.long
async def test_a_query_waits_for_the_position_and_says_so_when_it_does_not_come(
    database_url: str, redis_url: str, event_store: PostgresEventStore, own_kafka: Server, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "KAFKA_URL": own_kafka.address,
        "COUNTERFOIL_VAR": str(tmp_path / "var"),
    }
    with ExitStack() as running:
        urls: dict[str, str] = {}
        processes: dict[str, Any] = {}
        for name in PARTS:
            part = "query-api" if name == "query" else name
            port_name = f"COUNTERFOIL_{name.upper()}_PORT"
            urls[name], processes[name] = running.enter_context(
                process(part, port_name, tmp_path / name, **environment)
            )
        async with httpx.AsyncClient(timeout=30) as client:
            for url in urls.values():
                ready = partial(status, client, f"{url}/readyz")
                await eventually(ready, lambda answered: answered == 200, WITHIN_SECONDS)
            page = f"{urls['query']}/v1/products/lamp"

            async def asked(position: int) -> httpx.Response:
                return await client.get(page, headers={"min-position": str(position)})

            first = max(await event_store.append(collected(product(), stock()), {}))
            answer = await eventually(partial(asked, first), lambda answer: answer.status_code == 200, WITHIN_SECONDS)
            assert answer.json()["availability"]["quantity"] == 10

            second = max(await event_store.append(collected(stock(warehouse_id="south")), {}))
            answer = await eventually(partial(asked, second), lambda answer: answer.status_code == 200, WITHIN_SECONDS)
            assert answer.json()["availability"]["quantity"] == 20, "it waited"

            processes["worker"].kill()
            third = max(await event_store.append(collected(stock(warehouse_id="west")), {}))
            began = time.monotonic()
            late = await asked(third)
            assert late.status_code == 503
            assert time.monotonic() - began >= LEAST_WAIT_SECONDS
            assert int(late.headers["retry-after"]) >= 1
            assert (await client.get(page)).json()["availability"]["quantity"] == 20
