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
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from commandside.event_store.log import PostgresEventLog
from commandside.event_store.mapper import EventMapper
from counterfoil.beside_views import Mail, feeds_of_orders, mail, posting
from counterfoil.embedded.errors import CannotStartError
from counterfoil.feeding import search_feed
from counterfoil.stored_form import event_mapper
from projections.search.projection import open_search_projection
from projections.valkey import open_redis
from streams.dead_letters import RedisDeadLetters
from streams.metrics import ProjectorMetrics
from streams.postgres_streams import PostgresStreams
from streams.projector import Projector
from streams.view_feeds import TOPICS_OF_VIEWS, ViewFeeds

if TYPE_CHECKING:
    from counterfoil.settings import Settings
    from projections.search.opensearch_feed import SearchFeed

CONNECTIONS_LIMIT_COUNT = 64
REDIS_TIMEOUT_SECONDS = 5.0
GOODBYE_SECONDS = 3.0
WHOLE_LOG = "0"
_log = structlog.get_logger(__name__)


def main(settings: Settings) -> None:
    """Follows the log until SIGTERM or Ctrl-C. Ends with status 1 when it cannot go on.

    Raises CannotStartError when it is not told where the stores are.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise CannotStartError("There is nothing to follow: set DATABASE_URL and REDIS_URL, or start the shop.")
    process = _Process(settings.database_url, settings.redis_url, settings)
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


@asynccontextmanager
async def open_projector(
    database_url: str,
    redis_url: str,
    metrics: ProjectorMetrics,
    mapper: EventMapper | None = None,
    *,
    with_views: bool = True,
    mail: Mail | None = None,
    **bounds: Any,
) -> AsyncIterator[Projector]:
    """A projector with all its connections; without the views it follows search alone. `bounds` are Projector's own.

    Where there is `mail` it also sees to the customers' letters.
    """
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        database_url, min_size=0, max_size=1, timeout=5, name="streams", open=False
    )
    async with (
        open_redis(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS) as client,
        PostgresEventLog(database_url, mapper=mapper, wanted=TOPICS_OF_VIEWS) as log,
        pool,
        open_search_projection(database_url, PostgresStreams(pool, mapper)) as search,
        posting(client, PostgresStreams(pool, mapper), mail),
    ):
        streams = PostgresStreams(pool, mapper)
        views = ViewFeeds(client, streams) if with_views else None
        beside = [feed.make(WHOLE_LOG) for feed in feeds_of_orders(client, streams, pool, mail)] if with_views else []
        yield Projector(log, [search, *beside], RedisDeadLetters(client), metrics, views=views, **bounds)


class _Process:
    """A projector, and the web page that tells how it is."""

    def __init__(self, database_url: str, redis_url: str, settings: Settings) -> None:
        self._urls = (database_url, redis_url)
        self._opensearch_url = settings.opensearch_url
        self._mapper = event_mapper(settings)
        self._with_views = settings.projector_follows == "all"
        self._registry = CollectorRegistry()
        self._mail = mail(settings, self._registry) if self._with_views else None
        self._projector: Projector | None = None
        self._feed: SearchFeed | None = None
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
        metrics = ProjectorMetrics(self._registry)
        async with (
            open_projector(
                *self._urls, metrics, self._mapper, with_views=self._with_views, mail=self._mail
            ) as self._projector,
            search_feed(self._urls[0], self._opensearch_url, metrics, self._ended) as self._feed,
        ):
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
        """Ready when every projection can work; how far behind each is, the metrics tell.

        Without OpenSearch it works, degraded: nothing waits for that.
        """
        troubles = self._projector.troubles() if self._projector else {"projector": "has not started yet"}
        positions = self._projector.positions() if self._projector else {}
        degraded = []
        if self._feed is not None:
            positions[self._feed.name] = self._feed.position
            degraded = [self._feed.name] if self._feed.trouble is not None else []
        body = {
            "status": "unready" if troubles else "ready",
            "missing": sorted(troubles),
            "degraded": degraded,
            "positions": positions,
        }
        return JSONResponse(body, 503 if troubles else 200)

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _nothing() -> None:
    pass
