"""The read models, made from the log by the real projector."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry

from commandside.event_store.postgres import PostgresEventStore
from counterfoil.processes.projector import open_projector
from streams.metrics import ProjectorMetrics

PROJECTION_PATIENCE_SECONDS = 120.0


async def last_position(database_url: str) -> int:
    store = PostgresEventStore(database_url)
    try:
        return await store.last_position()
    finally:
        store.close()


async def projected(database_url: str, redis_url: str) -> None:
    """Every projection has taken in all of the log, and put nothing aside."""
    last = await last_position(database_url)
    async with open_projector(database_url, redis_url, ProjectorMetrics(CollectorRegistry())) as projector:
        running = asyncio.create_task(projector.run())
        until = time.monotonic() + PROJECTION_PATIENCE_SECONDS
        while not (positions := projector.positions()) or min(positions.values()) < last:
            assert not running.done(), running.exception()
            assert time.monotonic() < until, positions
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert projector.troubles() == {}
