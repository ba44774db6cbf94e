"""A shop whose log is followed through Kafka by workers, and what the views then have to be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from commandside.event_store.log import PostgresEventLog
from commandside.event_store.mapper import Row
from commandside.event_store.postgres import PostgresEventStore
from counterfoil.processes.projector import open_projector
from domain.events import AnyEvent
from projections.generations import VIEW_NAMES
from projections.keys import Keys
from projections.signals import keys as signal_keys
from queryside.views import Views
from streams.metrics import ProjectorMetrics
from streams.signals.sales_projection import NAME as SALES
from tests.contract.faust.kafka_log import KafkaLog, envelopes
from tests.contract.faust.running_worker import RunningWorker, StartWorker
from tests.fixtures.redis_contents import contents
from tests.waiting import eventually

WITHIN_SECONDS = 90
BATCH_SIZE_EVENTS = 200
KINDS = (b":product:", b":stock:", b":cart:", b":order:", b":orders:")


@dataclass(frozen=True, slots=True)
class Shop:
    """`topics` stand in for the relay: a test decides what comes through them, and in which order."""

    database_url: str
    redis_url: str
    redis: Redis
    store: PostgresEventStore
    kafka_url: str
    topics: KafkaLog
    start_worker: StartWorker

    async def happened(self, events: Sequence[AnyEvent]) -> list[Row]:
        """All rows of the log, with these."""
        for begin in range(0, len(events), BATCH_SIZE_EVENTS):
            await self.store.append(events[begin : begin + BATCH_SIZE_EVENTS], {})
        async with PostgresEventLog(self.database_url) as log:
            rows = await log.read_rows(0, 100_000)
        assert rows
        return rows

    async def ready_worker(self) -> RunningWorker:
        worker = self.start_worker()
        await eventually(worker.is_ready, bool, WITHIN_SECONDS)
        return worker

    def relay(self, rows: Sequence[Row]) -> None:
        """These, and that the log goes up to the last of them."""
        self.topics.send(envelopes(rows))
        self.topics.mark(rows[-1][0])

    async def held_position(self) -> int:
        return min(await Views(self.redis).positions(VIEW_NAMES))

    async def until_all_hold(self, position: int) -> None:
        """The views, and the counters of sales."""

        async def held() -> int:
            counted: Any = await self.redis.hvals(Keys().checkpoint(SALES))
            return min(await self.held_position(), min(map(int, counted), default=0))

        await eventually(held, lambda held: held >= position, WITHIN_SECONDS)

    async def views(self) -> dict[bytes, Any]:
        """And the counters, which have no generations."""
        held = await contents(self.redis, Keys().prefix)
        counters = await contents(self.redis, signal_keys.PREFIX)
        assert any(key.startswith(b":counted:") for key in counters)
        return {key: value for key, value in held.items() if key.startswith(KINDS)} | counters

    async def embedded(self) -> dict[bytes, Any]:
        """What the projector makes of the log in the same store, emptied before."""
        await self.redis.flushdb()
        async with (
            PostgresEventLog(self.database_url) as log,
            open_projector(self.database_url, self.redis_url, ProjectorMetrics(CollectorRegistry())) as projector,
        ):
            last_position = await log.last_position()
            running = asyncio.create_task(projector.run())
            await self.until_all_hold(last_position)
            running.cancel()
            await asyncio.wait([running], timeout=10)
        return await self.views()
