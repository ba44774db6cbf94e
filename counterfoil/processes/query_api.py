"""The query API's process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from psycopg_pool import AsyncConnectionPool
from starlette.datastructures import State

from counterfoil.beside_views import now
from counterfoil.embedded.errors import CannotStartError
from counterfoil.http.dress import dress
from counterfoil.http.problems import Translations
from counterfoil.http.serve import serve
from counterfoil.stored_form import event_mapper
from projections.valkey import open_redis
from queryside.api import Readers, create_app
from queryside.errors import QueryError, StoreUnavailable
from queryside.fallback import Breaker, FallbackSearch, FallbackViews
from queryside.fallback.replay import Replay
from queryside.fallback.shelves import PostgresShelves
from queryside.page_views import PageViewRecorder, PageViewSink
from queryside.search.engine import SearchEngine, SearchUnavailable
from queryside.search.postgres import open_postgres_search
from streams.postgres_streams import PostgresStreams
from streams.signals.page_view_buckets import PageViewBuckets

if TYPE_CHECKING:
    from counterfoil.settings import Settings

TRANSLATIONS: Translations = {QueryError: lambda error: error}
REDIS_CONNECTIONS_LIMIT_COUNT = 16
REPLAY_CONNECTIONS_LIMIT_COUNT = 4
REPLAY_WAITING_LIMIT_COUNT = 300
REPLAY_TIMEOUT_SECONDS = 3.0
SECONDS_TO_CONNECT = 2


def main(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises CannotStartError when it is not told where to read from."""
    app = create_app(open_readers(settings), currency=settings.currency, stay_seconds=settings.order_events_seconds)
    registry = CollectorRegistry()

    async def valkey_answers() -> None:
        await app.state.views.ping()

    async def search_answers() -> None:
        await app.state.search.position()

    async def opensearch_answers() -> None:
        if app.state.search.breaker.state != "closed":
            raise SearchUnavailable

    async def pages_can_be_read() -> None:
        """From Valkey, or by replay: one of the two is enough to go on with."""
        try:
            await app.state.views.ping()
        except StoreUnavailable:
            await app.state.views.positions(("product",))

    dress(
        app,
        settings,
        TRANSLATIONS,
        needs={"views": pages_can_be_read},
        wants={"valkey": valkey_answers, "search": search_answers}
        | ({"opensearch": opensearch_answers} if settings.opensearch_url else {}),
        registry=registry,
    )
    _measure(app.state, registry, with_opensearch=settings.opensearch_url is not None)

    def send_away() -> None:
        app.state.order_changes.send_away()

    serve(app, settings.host, settings.query_port, stopping=send_away)


@asynccontextmanager
async def open_readers(settings: Settings) -> AsyncIterator[Readers]:
    if settings.database_url is None or settings.redis_url is None:
        raise CannotStartError("There is nothing to read from: set DATABASE_URL and REDIS_URL, or start the shop.")
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        settings.database_url,
        kwargs={
            "autocommit": True,
            "connect_timeout": SECONDS_TO_CONNECT,
            "options": f"-c statement_timeout={int(REPLAY_TIMEOUT_SECONDS * 1000)} -c default_transaction_read_only=on",
        },
        min_size=0,
        max_size=REPLAY_CONNECTIONS_LIMIT_COUNT,
        max_waiting=REPLAY_WAITING_LIMIT_COUNT,
        timeout=REPLAY_TIMEOUT_SECONDS,
        check=AsyncConnectionPool.check_connection,
        name="replay",
        open=False,
    )
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(
            open_redis(settings.redis_url, max_connections=REDIS_CONNECTIONS_LIMIT_COUNT)
        )
        await opened.enter_async_context(pool)
        engine: SearchEngine = await opened.enter_async_context(open_postgres_search(settings.database_url))
        # The clients of what most shops do not have are large, in memory and in the time that a start takes.
        if settings.opensearch_url is not None:
            from queryside.search.opensearch import open_opensearch_search  # noqa: PLC0415

            first = await opened.enter_async_context(open_opensearch_search(settings.opensearch_url))
            engine = FallbackSearch(first, engine)
        replay = Replay(
            PostgresStreams(pool, event_mapper(settings)),
            PostgresShelves(pool),
            at_once_limit_count=REPLAY_CONNECTIONS_LIMIT_COUNT,
            timeout_seconds=REPLAY_TIMEOUT_SECONDS,
        )
        page_views: PageViewSink = PageViewBuckets(client, now)
        if settings.kafka_url is not None:
            from streams.signals.page_view_topic import PageViewTopic  # noqa: PLC0415

            page_views = await opened.enter_async_context(PageViewTopic(settings.kafka_url))
        yield Readers(FallbackViews(client, replay), engine, replay, page_views)


def _measure(state: State, registry: CollectorRegistry, *, with_opensearch: bool) -> None:
    circuits = Gauge(
        "counterfoil_circuit_open",
        "1 while a store is not asked because it did not answer",
        ["store"],
        registry=registry,
    )

    def is_open(readers: str) -> float:
        breaker: Breaker | None = getattr(getattr(state, readers, None), "breaker", None)
        return float(breaker is not None and breaker.state != "closed")

    Gauge(
        "counterfoil_order_onlookers", "Who look on at present while an order changes", registry=registry
    ).set_function(lambda: onlookers.onlookers_count if (onlookers := getattr(state, "order_changes", None)) else 0)
    circuits.labels("valkey").set_function(lambda: is_open("views"))
    if with_opensearch:
        circuits.labels("opensearch").set_function(lambda: is_open("search"))
    registry.register(_PageViewCounts(state))


class _PageViewCounts(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterable[CounterMetricFamily]:
        recorder: PageViewRecorder | None = getattr(self._state, "page_views", None)
        views = CounterMetricFamily("counterfoil_page_views", "Product pages looked at", labels=["outcome"])
        views.add_metric(["recorded"], recorder.recorded_count if recorder else 0)
        views.add_metric(["dropped"], recorder.dropped_count if recorder else 0)
        views.add_metric(["lost"], getattr(recorder.sink, "lost_count", 0) if recorder else 0)
        yield views
