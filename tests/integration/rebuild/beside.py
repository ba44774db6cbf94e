"""A shop on real servers whose views can be built, built again, and compared with their log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from counterfoil.processes.projector import open_projector
from domain.aggregates import EventSourced
from projections.generations import VIEW_NAMES, ViewName
from projections.keys import Keys
from queryside.views import Views
from streams.log_pages import LogPages
from streams.metrics import ProjectorMetrics
from streams.postgres_streams import PostgresStreams
from streams.projector import Projector
from streams.rebuild import Bounds, Rebuild
from streams.verify import Verification
from streams.verify_differences import Difference
from streams.view_feeds import VIEWS
from tests.integration.readside.shop import collected
from tests.waiting import eventually


class Said:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.advanced = 0

    def begin(self, what: str, total: int) -> None:
        self.lines.append(f"begin {what} {total}")

    def advance(self, count: int = 1) -> None:
        self.advanced += count

    def say(self, text: str) -> None:
        self.lines.append(text)


@dataclass(frozen=True)
class Stores:
    database_url: str
    redis_url: str
    client: Redis
    pool: Any
    events: PostgresEventStore

    async def happened(self, *aggregates: EventSourced) -> int:
        return max(await self.events.append(collected(*aggregates), {}))

    def log(self, view: ViewName) -> LogPages:
        return LogPages(self.pool, VIEWS[view](Keys()).event_types)

    def rebuild(
        self, view: ViewName, said: Said | None = None, stopping: Callable[[], bool] = lambda: False, **bounds: Any
    ) -> Rebuild:
        settings = Bounds(**{"nobody_feeds_seconds": 0.5, **bounds})
        return Rebuild(
            view, self.client, self.log(view), PostgresStreams(self.pool), said or Said(), stopping, settings
        )

    async def differences(self, view: ViewName) -> list[Difference]:
        return [found async for found in Verification(view, self.client, self.log(view)).differences()]

    async def all_differences(self) -> list[Difference]:
        return [found for view in VIEW_NAMES for found in await self.differences(view)]

    async def until_seen(self, position: int) -> None:
        views = Views(self.client)
        await eventually(lambda: views.positions(VIEW_NAMES), lambda positions: min(positions) >= position)

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[Projector]:
        async with (
            open_projector(self.database_url, self.redis_url, ProjectorMetrics(CollectorRegistry())) as projector,
            asyncio.TaskGroup() as group,
        ):
            running = group.create_task(projector.run())
            yield projector
            running.cancel()
