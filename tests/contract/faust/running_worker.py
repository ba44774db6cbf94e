"""A worker, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.fixtures.ports import free_port

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


@contextmanager
def running_worker(folder: Path, environment: dict[str, str]) -> Iterator[RunningWorker]:
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
