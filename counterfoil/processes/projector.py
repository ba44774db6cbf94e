"""The projector's process: keeps the views and the search tables up with the log."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from commandside.event_store.log import PostgresEventLog
from commandside.event_store.mapper import EventMapper
from counterfoil.embedded.errors import CannotStartError
from counterfoil.stored_form import event_mapper
from projections.keys import Keys
from projections.search.projection import open_search_projection
from projections.valkey import open_redis
from projections.view_projection import Streams, ViewProjection
from projections.views import Carts, Orders, ProductPages, StockLevels
from streams.dead_letters import RedisDeadLetters
from streams.metrics import ProjectorMetrics
from streams.postgres_streams import PostgresStreams
from streams.projector import Projection, Projector

if TYPE_CHECKING:
    from counterfoil.settings import Settings

CONNECTIONS_LIMIT_COUNT = 64
REDIS_TIMEOUT_SECONDS = 5.0
GOODBYE_SECONDS = 3.0
_log = structlog.get_logger(__name__)


def main(settings: Settings) -> None:
    """Follows the log until SIGTERM or Ctrl-C. Ends with status 1 when it cannot go on.

    Raises CannotStartError when it is not told where the stores are.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise CannotStartError("There is nothing to follow: set DATABASE_URL and REDIS_URL, or start the shop.")
    process = _Process(settings.database_url, settings.redis_url, event_mapper(settings))
    server = uvicorn.Server(
        uvicorn.Config(
            process.app,
            host=settings.host,
            port=settings.projector_port,
            loop="uvloop",
            log_config=None,
            access_log=False,
            limit_concurrency=CONNECTIONS_LIMIT_COUNT,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
    )

    def stop_serving() -> None:
        server.should_exit = True

    process.stop_serving = stop_serving
    server.run()
    if process.failed:
        sys.exit(1)


def view_projections(client: Redis, streams: Streams, keys: Keys | None = None) -> list[ViewProjection[Any]]:
    """Every view that lives in Valkey."""
    keys = keys or Keys()
    return [
        ViewProjection(ProductPages(keys), client, streams, keys),
        ViewProjection(StockLevels(keys), client, streams, keys),
        ViewProjection(Carts(keys), client, streams, keys),
        ViewProjection(Orders(keys), client, streams, keys),
    ]


@asynccontextmanager
async def open_projector(
    database_url: str,
    redis_url: str,
    metrics: ProjectorMetrics,
    mapper: EventMapper | None = None,
    **bounds: Any,
) -> AsyncIterator[Projector]:
    """A projector with all its connections. `bounds` are Projector's own."""
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        database_url, min_size=0, max_size=1, timeout=5, name="streams", open=False
    )
    async with (
        open_redis(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS) as client,
        PostgresEventLog(database_url, mapper=mapper) as log,
        pool,
        open_search_projection(database_url, PostgresStreams(pool, mapper)) as search,
    ):
        projections: list[Projection] = [*view_projections(client, PostgresStreams(pool, mapper)), search]
        yield Projector(log, projections, RedisDeadLetters(client), metrics, **bounds)


class _Process:
    """A projector, and the web page that tells how it is."""

    def __init__(self, database_url: str, redis_url: str, mapper: EventMapper) -> None:
        self._urls = (database_url, redis_url)
        self._mapper = mapper
        self._registry = CollectorRegistry()
        self._projector: Projector | None = None
        self.failed = False
        self.stop_serving: Callable[[], None] = _nothing
        routes = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        self.app = Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with open_projector(*self._urls, ProjectorMetrics(self._registry), self._mapper) as self._projector:
            running = asyncio.create_task(self._projector.run())
            running.add_done_callback(self._ended)
            try:
                yield
            finally:
                running.cancel()
                await asyncio.wait([running], timeout=GOODBYE_SECONDS)

    def _ended(self, running: asyncio.Task[None]) -> None:
        if running.cancelled():
            return
        self.failed = True
        _log.critical("projector_cannot_go_on", exc_info=running.exception())
        self.stop_serving()

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, _: Request) -> Response:
        """Ready when every projection can work; how far behind each is, the metrics tell."""
        troubles = self._projector.troubles() if self._projector else {"projector": "has not started yet"}
        positions = self._projector.positions() if self._projector else {}
        body = {"status": "unready" if troubles else "ready", "missing": sorted(troubles), "positions": positions}
        return JSONResponse(body, 503 if troubles else 200)

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _nothing() -> None:
    pass
