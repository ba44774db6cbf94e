"""The two processes of the read side as they are started: ready, useful, and gone at a SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from projections.keys import Keys
from tests.fixtures.ports import free_port
from tests.integration.readside.shop import collected, product, stock
from tests.waiting import eventually

STOP_TIMEOUT_SECONDS = 10


@contextmanager
def process(part: str, port_name: str, log: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "counterfoil", part],
            env={**os.environ, **environment, port_name: str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}", started
    finally:
        started.kill()
        started.wait()


async def test_what_is_committed_is_served(
    database_url: str, redis_url: str, event_store: PostgresEventStore, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "COUNTERFOIL_VAR": str(tmp_path / "var")}
    with (
        process("projector", "COUNTERFOIL_PROJECTOR_PORT", tmp_path / "1", **environment) as (projector_url, projector),
        process("query-api", "COUNTERFOIL_QUERY_PORT", tmp_path / "2", **environment) as (query_url, query_api),
    ):
        async with httpx.AsyncClient(timeout=10) as client:
            for url in (projector_url, query_url):
                await eventually(partial(status, client, f"{url}/readyz"), lambda answered: answered == 200)
            position = max(await event_store.append(collected(product(), stock()), {}))
            there = {"min-position": str(position)}

            async def answer_to(path: str) -> httpx.Response:
                """Of two seconds that it waits, a busy machine may need more than one time."""
                asked = partial(client.get, f"{query_url}{path}", headers=there)
                return await eventually(asked, lambda answer: answer.status_code != 503)

            page = await answer_to("/v1/products/lamp")
            assert page.json()["availability"] == {"status": "in_stock", "quantity": 10}
            found = await answer_to("/v1/search?q=lamp")
            assert [hit["product_id"] for hit in found.json()["products"]] == ["lamp"]
            assert (await client.get(f"{query_url}/v1/nothing")).headers["content-type"] == "application/problem+json"

            async def told() -> tuple[str, int]:
                """By the projector, which hears a moment later of what it has stored than who reads it there."""
                ready = (await client.get(f"{projector_url}/readyz")).json()
                return (await client.get(f"{projector_url}/metrics")).text, ready["positions"]["search"]

            gauge = f'counterfoil_projection_position{{projection="product"}} {position:.1f}'
            await eventually(told, lambda told: gauge in told[0] and told[1] == position)
        for started, log in ((projector, tmp_path / "1"), (query_api, tmp_path / "2")):
            started.send_signal(signal.SIGTERM)
            assert started.wait(STOP_TIMEOUT_SECONDS) in (0, -signal.SIGTERM)
            assert "Traceback" not in log.read_text()


@pytest.mark.long
async def test_a_projector_may_leave_the_views_to_workers_and_keep_search(
    database_url: str, redis_url: str, event_store: PostgresEventStore, opensearch_url: str, tmp_path: Path
) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENSEARCH_URL": opensearch_url,
        "COUNTERFOIL_PROJECTOR_FOLLOWS": "search",
        "COUNTERFOIL_VAR": str(tmp_path / "var"),
    }
    with (
        process("projector", "COUNTERFOIL_PROJECTOR_PORT", tmp_path / "1", **environment) as (projector_url, _),
        process("query-api", "COUNTERFOIL_QUERY_PORT", tmp_path / "2", **environment) as (query_url, _),
    ):
        async with httpx.AsyncClient(timeout=30) as client:
            for url in (projector_url, query_url):
                await eventually(partial(status, client, f"{url}/readyz"), lambda answered: answered == 200)
            position = max(await event_store.append(collected(product(), stock()), {}))

            async def told() -> Any:
                return (await client.get(f"{projector_url}/readyz")).json()

            there = {"search": position, "search-index": position}
            body = await eventually(told, lambda told: told["positions"] == there)
            assert body["degraded"] == []

            async def found() -> Any:
                return (await client.get(f"{query_url}/v1/search?q=lamp")).json()

            answer = await eventually(found, lambda found: found["engine"] == "opensearch")
            assert [hit["product_id"] for hit in answer["products"]] == ["lamp"]
            assert (await client.get(f"{query_url}/v1/suggest?q=lam")).json() == {"suggestions": ["Lamps", "The lamp"]}
            assert 'counterfoil_circuit_open{store="opensearch"} 0.0' in (await client.get(f"{query_url}/metrics")).text


@pytest.mark.parametrize("part", ["projector", "query-api"])
def test_without_stores_it_says_what_to_do(part: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    ended = subprocess.run(
        [sys.executable, "-m", "counterfoil", part],
        env={**environment, "COUNTERFOIL_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode != 0
    assert "DATABASE_URL" in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


async def test_a_projector_that_cannot_go_on_ends_with_an_error(
    database_url: str, redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    await redis_client.hset(Keys().checkpoint("order"), "0", "999")
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "COUNTERFOIL_VAR": str(tmp_path / "var")}
    with process("projector", "COUNTERFOIL_PROJECTOR_PORT", tmp_path / "log", **environment) as (_, projector):
        assert projector.wait(30) == 1
    assert "of another log" in (tmp_path / "log").read_text()


async def status(client: httpx.AsyncClient, url: str) -> int:
    try:
        return (await client.get(url)).status_code
    except httpx.TransportError:
        return 0
