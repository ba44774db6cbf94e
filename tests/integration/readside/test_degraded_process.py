"""The query API's process with a store away: ready while it can show pages, and it says what is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from commandside.event_store.postgres import PostgresEventStore
from projections.search import open_search_projection
from tests.fakes.streams import MemoryStreams
from tests.fixtures.ports import free_port
from tests.fixtures.valkey import valkey_on
from tests.integration.readside.shop import MemoryShop, collected, product, stock
from tests.integration.readside.test_processes import process
from tests.waiting import eventually


@pytest.mark.parametrize("follows", ["all", pytest.param("search", marks=pytest.mark.long)])
async def test_search_goes_on_without_valkey_and_starts_without_it(
    database_url: str, event_store: PostgresEventStore, tmp_path: Path, follows: str
) -> None:
    port = free_port()
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "COUNTERFOIL_PROJECTOR_FOLLOWS": follows,
        "COUNTERFOIL_VAR": str(tmp_path / "var"),
    }
    part = ("projector", "COUNTERFOIL_PROJECTOR_PORT")
    async with httpx.AsyncClient(timeout=30) as client:

        async def searchable(url: str, sku: str) -> Any:
            position = max(await event_store.append(collected(product(sku), stock(sku)), {}))
            _, told = await eventually(
                lambda: readiness(client, url), lambda told: told[1].get("positions", {}).get("search") == position
            )
            return told

        with valkey_on(port), process(*part, tmp_path / "1", **environment) as (url, _):
            await searchable(url, "lamp")
        with process(*part, tmp_path / "2", **environment) as (url, started):
            with valkey_on(port):
                await eventually(lambda: readiness(client, url), lambda told: told[0] == 200)
            for number in range(4):  # more than two seconds: it looks for retries in vain
                assert "search" not in (await searchable(url, f"vase-{number}"))["missing"]
                await asyncio.sleep(0.7)
            assert started.poll() is None
        with process(*part, tmp_path / "3", **environment) as (url, _):
            told = await searchable(url, "bowl")
            assert "search" not in told["missing"]
            assert (follows == "search") == (told["missing"] == []), "the views cannot be kept"
            with valkey_on(port):
                await eventually(lambda: readiness(client, url), lambda told: told[0] == 200)


async def readiness(client: httpx.AsyncClient, url: str) -> tuple[int, Any]:
    try:
        answer = await client.get(f"{url}/readyz")
    except httpx.TransportError:
        return 0, {}
    return answer.status_code, answer.json()


@pytest.mark.long
@pytest.mark.parametrize(
    ("away", "status", "missing", "degraded"),
    [
        ((), 200, [], []),
        (("REDIS_URL",), 200, [], ["valkey"]),
        (("DATABASE_URL",), 200, [], ["search"]),
        (("OPENSEARCH_URL",), 200, [], ["opensearch"]),
        (("REDIS_URL", "DATABASE_URL"), 503, ["views"], ["valkey", "search"]),
    ],
)
async def test_what_it_needs_and_what_it_can_do_without(
    database_url: str,
    redis_url: str,
    shop: MemoryShop,
    event_store: PostgresEventStore,
    tmp_path: Path,
    away: tuple[str, ...],
    status: int,
    missing: list[str],
    degraded: list[str],
) -> None:
    await shop.happened(product(), stock())
    await event_store.append([recorded.event for recorded in shop.log], {})
    async with open_search_projection(database_url, MemoryStreams()) as search:
        await search.apply(shop.log, shop.position)
    nowhere = {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{free_port()}/none",
        "OPENSEARCH_URL": f"http://127.0.0.1:{free_port()}",
    }
    there = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    environment = there | {name: nowhere[name] for name in away} | {"COUNTERFOIL_VAR": str(tmp_path / "var")}
    with process("query-api", "COUNTERFOIL_QUERY_PORT", tmp_path / "log", **environment) as (url, _):
        async with httpx.AsyncClient(timeout=30) as client:
            await eventually(lambda: readiness(client, url), lambda told: told[0] != 0)
            for _ in range(3):
                await client.get(f"{url}/v1/search?q=lamp")
            searched = await client.get(f"{url}/v1/search?q=lamp")
            page = await client.get(f"{url}/v1/products/lamp")
            code, body = await readiness(client, url)
            assert (code, body["missing"], body["degraded"]) == (status, missing, degraded)
            assert page.status_code == status
            assert searched.status_code == (503 if "DATABASE_URL" in away else 200)
            if page.status_code == 200:
                assert page.json()["availability"] == {"status": "in_stock", "quantity": 10}
