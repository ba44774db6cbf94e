"""Parts of the shop in processes of their own, killed at any moment and started again."""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.fixtures.ports import free_port

ASK_TIMEOUT_SECONDS = 5
END_TIMEOUT_SECONDS = 20
WATCH_SECONDS = 0.2
PARTITIONS_COUNT = 8
LAST_LINES_COUNT = 8


class Part:
    """One part: `kind` is its name in the shop, `name` that of this one of them. Its log goes on from life to life."""

    def __init__(self, name: str, kind: str, environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.kills_count = 0
        self.ends_count = 0
        """How often it ended of its own accord."""
        self._kind = kind
        self._environment = environment
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Nothing where it runs already."""
        if self._process is not None and self._process.poll() is None:
            return
        self._port = free_port()
        own = {
            f"COUNTERFOIL_{self._kind.upper()}_PORT": str(self._port),
            "COUNTERFOIL_VAR": str(self._folder / "var"),
            "COUNTERFOIL_KAFKA_PARTITIONS": str(PARTITIONS_COUNT),
        }
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "counterfoil.part", self._kind],
                env={**os.environ, **self._environment, **own},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """SIGKILL; nothing where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_TIMEOUT_SECONDS)
            self._process = None

    def look_after(self) -> None:
        """Starts it again where it ended of its own accord, as whoever runs a shop has it done."""
        if self._process is not None and self._process.poll() is not None:
            self.ends_count += 1
            self.start()

    async def is_ready(self) -> bool:
        return '"ready"' in await self._ask("/readyz")

    async def leads(self) -> bool:
        return "counterfoil_relay_leader 1.0" in await self._ask("/metrics")

    def said(self) -> str:
        """How often it was killed and ended, and the end of its log."""
        lines = self._log.read_text(errors="replace").splitlines()[-LAST_LINES_COUNT:] if self._log.exists() else []
        counts = f"{self.name}: killed {self.kills_count} times, ended by itself {self.ends_count} times"
        return "\n".join([counts, *(f"  {line[:500]}" for line in lines)])

    def log(self) -> str:
        """All that it said in all its lives."""
        return self._log.read_text(errors="replace")

    async def _ask(self, path: str) -> str:
        """The answer; empty while there is none."""
        return await asyncio.to_thread(self._answer, path)

    def _answer(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ASK_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()


@contextmanager
def relays_and_workers(
    folder: Path, relays_count: int, workers_count: int, **addresses: str
) -> Iterator[tuple[list[Part], list[Part]]]:
    """All started; whatever still runs at the end is killed."""
    relays = [Part(f"relay-{n + 1}", "relay", addresses, folder) for n in range(relays_count)]
    workers = [Part(f"worker-{n + 1}", "worker", addresses, folder) for n in range(workers_count)]
    try:
        for part in (*relays, *workers):
            part.start()
        yield relays, workers
    finally:
        for part in (*relays, *workers):
            part.kill()


async def keep_alive(parts: Sequence[Part]) -> None:
    """Until cancelled."""
    while True:
        for part in parts:
            part.look_after()
        await asyncio.sleep(WATCH_SECONDS)
