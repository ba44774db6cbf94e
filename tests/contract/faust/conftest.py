from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from ops.kafka import kafka_server
from projections.valkey import open_redis
from tests.contract.faust.kafka_log import KafkaLog
from tests.contract.faust.running_worker import RunningWorker, StartWorker, running_worker
from tests.contract.faust.shop import Shop
from tests.fixtures.stack import require_stack


@pytest.fixture
def kafka() -> Iterator[str]:
    """One of the test's own: workers read topics whose names are fixed."""
    require_stack("kafka")
    with tempfile.TemporaryDirectory(prefix="counterfoil-test-kafka-") as folder, kafka_server(Path(folder)) as server:
        yield server.address


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url, timeout_seconds=10) as client:
        yield client


@pytest.fixture
def event_store(database_url: str) -> Iterator[PostgresEventStore]:
    store = PostgresEventStore(database_url)
    yield store
    store.close()


@pytest.fixture
def start_worker(database_url: str, redis_url: str, kafka: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Each call starts one more; what still runs at the end is killed."""
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "KAFKA_URL": kafka}
    with ExitStack() as running:

        def start() -> RunningWorker:
            return running.enter_context(running_worker(tmp_path, environment))

        yield start


@pytest.fixture
def shop(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    event_store: PostgresEventStore,
    kafka: str,
    start_worker: StartWorker,
) -> Shop:
    return Shop(database_url, redis_url, redis_client, event_store, kafka, KafkaLog(kafka), start_worker)
