"""A year of a real shop, through Kafka and in one process: the same bytes."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from commandside.event_store.postgres import PostgresEventStore
from counterfoil.imports.retail.invoices import read
from counterfoil.imports.retail.replay import replay
from counterfoil.progress import shown_on
from counterfoil.settings import Settings
from ops.server import Server
from projections.valkey import open_redis
from tests.fakes.payments import FakePaymentProvider
from tests.fault.kafka.parts import keep_alive, relays_and_workers
from tests.fault.kafka.replayed import ensure_identical, ensure_verified, last_position, until_all_hold

CAUGHT_UP_WITHIN_SECONDS = 120


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_the_import_through_kafka_and_through_the_embedded_projector(
    real_file: Path, own_kafka: Server, database_url: str, redis_url: str, module_redis_url: str, tmp_path: Path
) -> None:
    addresses = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "KAFKA_URL": own_kafka.address}
    with relays_and_workers(tmp_path, relays_count=1, workers_count=2, **addresses) as (relays, workers):
        keeping = asyncio.create_task(keep_alive([*relays, *workers]))
        try:
            await import_all(real_file, database_url, tmp_path / "import")
            position = await last_position(database_url)
            async with open_redis(redis_url, timeout_seconds=30) as client:
                await until_all_hold(client, position, CAUGHT_UP_WITHIN_SECONDS)
        except BaseException as error:
            error.add_note("\n".join(part.said() for part in (*relays, *workers)))
            raise
        finally:
            keeping.cancel()
            await asyncio.wait([keeping], timeout=10)
    await ensure_verified(database_url, redis_url)
    await ensure_identical(database_url, redis_url, module_redis_url, position)


async def import_all(path: Path, database_url: str, var: Path) -> None:
    store = PostgresEventStore(database_url)
    try:
        with shown_on(Console(file=io.StringIO())) as progress:
            settings = Settings(database_url=database_url, var=var)
            report = await replay(settings, store, FakePaymentProvider(), read(path), progress)
    finally:
        store.close()
    assert report is not None
    assert (report.orders_count, report.lines_count) == (570, 11_172)
