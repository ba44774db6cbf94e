"""A worker's process: from Kafka into the views."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool

from commandside.event_store.mapper import EventMapper
from counterfoil.beside_views import Mail, feeds_of_orders, mail, now, posting
from counterfoil.embedded.errors import CannotStartError
from counterfoil.http.vitals import run_with_vitals
from counterfoil.stored_form import event_mapper
from domain.events import EVENT_TYPES
from projections.valkey import open_redis
from streams.dead_letters import RedisDeadLetters
from streams.log_pages import LogPages
from streams.metrics import WorkerMetrics
from streams.places import StoredPlaces
from streams.postgres_streams import PostgresStreams
from streams.signals.page_view_buckets import PageViewBuckets
from streams.topics import kafka_topic
from streams.view_feeds import ViewFeeds
from streams.worker import Worker

if TYPE_CHECKING:
    from counterfoil.settings import Settings

REDIS_TIMEOUT_SECONDS = 5.0


def main(settings: Settings) -> None:
    """Works until SIGTERM or Ctrl-C. Ends with status 1 when it cannot go on.

    Raises CannotStartError when it is not told where Kafka and the stores are.
    """
    if settings.database_url is None or settings.redis_url is None or settings.kafka_url is None:
        raise CannotStartError(
            "There is nothing to work on: set KAFKA_URL, and DATABASE_URL and REDIS_URL (or start the shop)."
        )
    registry = CollectorRegistry()
    opening = open_worker(
        settings.database_url,
        settings.redis_url,
        settings.kafka_url,
        settings.kafka_partitions,
        WorkerMetrics(registry),
        event_mapper(settings),
        mail(settings, registry),
    )
    run_with_vitals("worker", opening, registry, host=settings.host, port=settings.worker_port)


@asynccontextmanager
async def open_worker(
    database_url: str,
    redis_url: str,
    kafka_url: str,
    partitions_count: int,
    metrics: WorkerMetrics,
    mapper: EventMapper | None = None,
    mail: Mail | None = None,
    **bounds: Any,
) -> AsyncIterator[Worker]:
    """A worker with all its connections; where there is `mail`, it writes letters too. `bounds` are Worker's own."""
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        database_url, min_size=0, max_size=1, timeout=5, name="streams", open=False
    )
    async with open_redis(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS) as client, pool:
        streams = PostgresStreams(pool, mapper)
        async with posting(client, streams, mail):
            yield Worker(
                kafka_url,
                partitions_count,
                ViewFeeds(client, streams),
                StoredPlaces(client),
                metrics,
                partial(_log_of, pool, mapper),
                of_orders=feeds_of_orders(client, streams, pool, mail),
                page_views=PageViewBuckets(client, now),
                page_views_put_aside=RedisDeadLetters(client),
                **bounds,
            )


def _log_of(pool: AsyncConnectionPool[psycopg.AsyncConnection], mapper: EventMapper | None, topic: str) -> LogPages:
    """The events that go to this Kafka topic."""
    return LogPages(pool, [known for name, known in EVENT_TYPES.items() if kafka_topic(name) == topic], mapper)
