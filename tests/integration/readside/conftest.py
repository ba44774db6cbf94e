from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from redis.asyncio import Redis
from starlette.types import ASGIApp, Receive, Scope, Send

from commandside.event_store.postgres import PostgresEventStore
from counterfoil.http import problems
from counterfoil.processes.query_api import TRANSLATIONS
from projections.valkey import open_redis
from queryside.api import Readers, create_app
from queryside.fallback.replay import Replay
from queryside.fallback.shelves import Shelves
from queryside.search.engine import SearchEngine
from queryside.views import Views
from tests.fakes.streams import MemoryStreams
from tests.integration.readside.shop import MemoryShop

WAIT_SECONDS = 0.3
STAY_SECONDS = 1.5
PATIENT_SECONDS = 20.0


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url, timeout_seconds=10) as client:
        yield client


@pytest.fixture
def shop(redis_client: Redis) -> MemoryShop:
    return MemoryShop(redis_client)


@pytest.fixture
def event_store(database_url: str) -> Iterator[PostgresEventStore]:
    store = PostgresEventStore(database_url)
    yield store
    store.close()


@pytest.fixture
async def api(redis_client: Redis, shop: MemoryShop) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(redis_client, shop.streams) as client:
        yield client


@pytest.fixture
async def waiting_api(redis_client: Redis, shop: MemoryShop) -> AsyncIterator[httpx.AsyncClient]:
    """One that waits for what comes late on a busy machine."""
    async with serving(redis_client, shop.streams, wait_seconds=PATIENT_SECONDS) as client:
        yield client


@asynccontextmanager
async def serving(
    redis_client: Redis,
    streams: MemoryStreams | None = None,
    stay_seconds: float = STAY_SECONDS,
    wait_seconds: float = WAIT_SECONDS,
) -> AsyncIterator[httpx.AsyncClient]:
    """The query API; headers say who calls: `x-owner`, `x-roles`."""
    log = Replay(streams or MemoryStreams(), cast(Shelves, None))

    @asynccontextmanager
    async def readers() -> AsyncIterator[Readers]:
        yield Readers(Views(redis_client), cast(SearchEngine, NoSearch()), log)

    app = create_app(readers(), wait_seconds=wait_seconds, stay_seconds=stay_seconds)
    problems.install(app, TRANSLATIONS)
    app.add_middleware(CallerFromHeaders)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://query", timeout=30) as client,
    ):
        yield client


class NoSearch:
    """These tests do not search."""

    async def position(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class CallerFromHeaders:
    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope.get("headers", []))
        owner = headers.get(b"x-owner", b"").decode() or None
        roles = frozenset(headers.get(b"x-roles", b"").decode().split())
        state: dict[str, Any] = scope.setdefault("state", {})
        state["caller"] = SimpleNamespace(owner=owner, roles=roles)
        await self.app(scope, receive, send)
