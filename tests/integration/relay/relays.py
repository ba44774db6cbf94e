"""Relays, in this process and as processes, and writers that keep them busy."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from prometheus_client import CollectorRegistry

from ops.server import Server
from streams.relay.metrics import RelayMetrics
from streams.relay.relay import Relay
from tests.fixtures.ports import free_port
from tests.integration.relay.kafka_contents import PARTITIONS_COUNT
from tests.rules.sources import PROJECT

T = TypeVar("T")
PATIENCE_SECONDS = 60.0
# A pause of a busy machine is not taken for a death, so that what is sent twice is a fault.
UNHURRIED = {"lease_seconds": 120.0, "goodbye_seconds": 30.0}


@asynccontextmanager
async def running(database_url: str, kafka: Server, **bounds: Any) -> AsyncIterator[Relay]:
    """A relay in this process."""
    relay = Relay(database_url, kafka.address, PARTITIONS_COUNT, RelayMetrics(CollectorRegistry()), **bounds)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class RelayProcess:
    """A relay as it is started in a shop, and the page that tells how it is."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.log = log
        self._port = port

    async def leads(self) -> bool:
        return "counterfoil_relay_leader 1.0" in await self.ask("/metrics")

    async def missing(self) -> list[str]:
        """What keeps it from working, by its own account."""
        found: list[str] = json.loads(await self.ask("/readyz") or "{}").get("missing", ["its page"])
        return found

    async def ask(self, path: str) -> str:
        """The answer; empty while there is none. Fails when the process has ended."""
        assert self.process.poll() is None, self.log.read_text()
        return await asyncio.to_thread(self._ask, path)

    def _ask(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()


@contextmanager
def relay_process(
    database_url: str, kafka: Server, folder: Path, partitions_count: int = PARTITIONS_COUNT
) -> Iterator[RelayProcess]:
    folder.mkdir(exist_ok=True)
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "KAFKA_URL": kafka.address,
        "COUNTERFOIL_VAR": str(folder / "var"),
        "COUNTERFOIL_RELAY_PORT": str(port),
        "COUNTERFOIL_KAFKA_PARTITIONS": str(partitions_count),
    }
    with (folder / "log").open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "counterfoil.part", "relay"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield RelayProcess(started, port, folder / "log")
    finally:
        started.kill()
        started.wait()


async def until_all_is_relayed(database_url: str) -> None:
    """Kafka has acknowledged everything that the log holds now."""
    end = last_position(database_url)
    await patiently(partial(asyncio.to_thread, checkpoint, database_url), lambda saved: saved[1] >= end)


def last_position(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        ((found,),) = connection.execute("SELECT coalesce(max(notification_id), 0) FROM log.stored_events").fetchall()
        return int(found)


def checkpoint(database_url: str) -> tuple[int, int]:
    """Epoch and position."""
    with psycopg.connect(database_url) as connection:
        ((epoch, position),) = connection.execute("SELECT epoch, position FROM relay.checkpoint").fetchall()
        return epoch, position


async def patiently(ask: Callable[[], Awaitable[T]], accept: Callable[[T], bool]) -> T:
    """`eventually`, for as long as a busy machine may need to start a process or to take over."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not accept(answer := await ask()):
        assert time.monotonic() < until, f"still {answer!r} after {PATIENCE_SECONDS} s"
        await asyncio.sleep(0.05)
    return answer


@asynccontextmanager
async def writers(database_url: str, appends_count: int) -> AsyncIterator[Writers]:
    """Sixteen in two processes, each of which makes so many appends, two events in the mean."""
    environment = {**os.environ, "DATABASE_URL": database_url}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.event_store.appending_process", f"{time.time_ns()}-{n}", "8",
            str(appends_count), env=environment, cwd=PROJECT, stdout=DEVNULL,
        )
        for n in range(2)
    ]  # fmt: skip
    try:
        yield Writers(processes)
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


class Writers:
    def __init__(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        self._processes = processes

    @property
    def are_writing(self) -> bool:
        return any(process.returncode is None for process in self._processes)

    async def end(self) -> None:
        """Waits for it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert [await process.wait() for process in self._processes] == [0, 0]


async def until_relayed(database_url: str, count: int) -> None:
    """So many events, or so, are in Kafka."""
    await patiently(partial(asyncio.to_thread, checkpoint, database_url), lambda saved: saved[1] >= count)


def told(ask: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """As `patiently` wants it."""

    async def answer() -> T:
        return ask()

    return answer
