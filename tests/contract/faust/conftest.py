from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from ops.kafka import kafka_server
from projections.valkey import open_redis
from tests.fixtures.stack import require_stack
from tests.fixtures.valkey import free_port

KILL_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class RunningWorker:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    async def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3_000:]
        async with httpx.AsyncClient(timeout=10) as client:
            try:
                return (await client.get(f"{self.url}/readyz")).status_code == 200
            except httpx.TransportError:
                return False


StartWorker = Callable[[], RunningWorker]


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
            return running.enter_context(_worker(tmp_path, environment))

        yield start


@contextmanager
def _worker(folder: Path, environment: dict[str, str]) -> Iterator[RunningWorker]:
    port = free_port()
    log = folder / f"worker-{port}.log"
    own = {"COUNTERFOIL_WORKER_PORT": str(port), "COUNTERFOIL_VAR": str(folder / "var")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "counterfoil", "worker"],
            env={**os.environ, **environment, **own},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield RunningWorker(process, f"http://127.0.0.1:{port}", log)
    finally:
        process.kill()
        process.wait(KILL_TIMEOUT_SECONDS)
