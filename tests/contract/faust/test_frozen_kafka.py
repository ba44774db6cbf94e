"""A Kafka that stands still keeps its connections: whoever waits for messages sees nothing but that none come."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from ops.server import Server
from tests.integration.readside.test_processes import process, status
from tests.waiting import eventually

pytestmark = pytest.mark.long
WITHIN_SECONDS = 60
NOTICED_WITHIN_SECONDS = 20


async def test_a_worker_says_that_kafka_does_not_answer(
    database_url: str, redis_url: str, own_kafka: Server, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "KAFKA_URL": own_kafka.address}
    with process("worker", "COUNTERFOIL_WORKER_PORT", tmp_path / "worker", **environment) as (url, worker):
        async with httpx.AsyncClient(timeout=10) as client:
            ready = partial(status, client, f"{url}/readyz")
            await eventually(ready, lambda answered: answered == 200, WITHIN_SECONDS)
            assert own_kafka.pid is not None
            os.kill(own_kafka.pid, signal.SIGSTOP)
            stopped_at = time.monotonic()
            try:
                await eventually(ready, lambda answered: answered == 503, WITHIN_SECONDS)
                noticed_after = time.monotonic() - stopped_at
                assert "kafka" in (await client.get(f"{url}/readyz")).text
            finally:
                os.kill(own_kafka.pid, signal.SIGCONT)
            assert noticed_after < NOTICED_WITHIN_SECONDS
            await eventually(ready, lambda answered: answered == 200, WITHIN_SECONDS)
        assert worker.poll() is None
