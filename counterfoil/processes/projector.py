"""The projector's process: keeps the views and the search tables up with the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool

from commandside.event_store.log import PostgresEventLog
from commandside.event_store.mapper import EventMapper
from counterfoil.beside_views import Mail, feeds_of_orders, mail, posting
from counterfoil.embedded.errors import CannotStartError
from counterfoil.feeding import search_feed
from counterfoil.http.vitals import run_with_vitals
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

REDIS_TIMEOUT_SECONDS = 5.0
WHOLE_LOG = "0"


def main(settings: Settings) -> None:
    """Follows the log until SIGTERM or Ctrl-C. Ends with status 1 when it cannot go on.

    Raises CannotStartError when it is not told where the stores are.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise CannotStartError("There is nothing to follow: set DATABASE_URL and REDIS_URL, or start the shop.")
    registry = CollectorRegistry()
    opening = _projecting(settings, settings.database_url, settings.redis_url, registry)
    run_with_vitals("projector", opening, registry, host=settings.host, port=settings.projector_port)


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
        letters = RedisDeadLetters(client)
        # Search is in Postgres, and the way out while Valkey is away: it goes on without that.
        apart = [search.name]
        yield Projector(log, [search, *beside], letters, metrics, views=views, letters_apart=apart, **bounds)


@asynccontextmanager
async def _projecting(
    settings: Settings, database_url: str, redis_url: str, registry: CollectorRegistry
) -> AsyncIterator[_Projecting]:
    metrics = ProjectorMetrics(registry)
    with_views = settings.projector_follows == "all"
    letters = mail(settings, registry) if with_views else None
    async with (
        open_projector(
            database_url, redis_url, metrics, event_mapper(settings), with_views=with_views, mail=letters
        ) as projector,
        search_feed(database_url, settings.opensearch_url, metrics) as feed,
    ):
        yield _Projecting(projector, feed)


class _Projecting:
    """The projector, and beside it the feed of OpenSearch: nothing waits for that, and it ends with either."""

    def __init__(self, projector: Projector, feed: SearchFeed | None) -> None:
        self._projector = projector
        self._feed = feed

    async def run(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._projector.run(), name="projector")
            if self._feed is not None:
                both.create_task(self._feed.run(), name=self._feed.name)

    def troubles(self) -> dict[str, str]:
        return self._projector.troubles()

    def positions(self) -> dict[str, int]:
        own = self._projector.positions()
        return own if self._feed is None else own | {self._feed.name: self._feed.position}

    def degraded(self) -> list[str]:
        return [self._feed.name] if self._feed is not None and self._feed.trouble is not None else []
