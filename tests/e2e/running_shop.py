"""The whole product, started as its users start it: `counterfoil up` on free ports and a data folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import jwt

from tests.fixtures.ports import free_port
from tests.waiting import eventually

JWT_SECRET: Final = "the end-to-end tests' own secret, long enough for HS256"
TOKEN_LIFE_SECONDS: Final = 3_600
START_TIMEOUT_SECONDS: Final = 60
STOP_TIMEOUT_SECONDS: Final = 40
CAPTURED_WITHIN_SECONDS: Final = 60


@dataclass
class RunningShop:
    var: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.var.parent / f"{self.var.name}.log"

    @property
    def command_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['COUNTERFOIL_COMMAND_PORT']}"

    @property
    def query_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['COUNTERFOIL_QUERY_PORT']}"

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['COUNTERFOIL_PROVIDER_PORT']}"

    @property
    def database_url(self) -> str:
        return str(json.loads(self._runtime.read_text())["database_url"])

    def start(self, *arguments: str) -> float:
        """Returns the seconds until both APIs were ready, and the data folder said so."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "counterfoil", "up", *arguments], env=self.environment, stdout=log, stderr=log
            )
        self.wait_until_ready()
        return time.monotonic() - began

    def wait_until_ready(self) -> None:
        until = time.monotonic() + START_TIMEOUT_SECONDS
        urls = (self.command_url, self.query_url, self.provider_url)
        while not (self._runtime.exists() and all(self._ready(url) for url in urls)):
            assert self.process is not None and self.process.poll() is None, self.said()
            assert time.monotonic() < until, f"not ready in {START_TIMEOUT_SECONDS} s:\n{self.said()}"
            time.sleep(0.05)

    def stop(self, signal_number: int = signal.SIGTERM) -> tuple[int, float]:
        """Exit code, and the seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal_number)
        return self.process.wait(STOP_TIMEOUT_SECONDS), time.monotonic() - began

    def kill_everything(self) -> None:
        """SIGKILL, and what the supervisor's death takes with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_SECONDS)

    def pids(self) -> dict[str, int]:
        """By part, as `runtime.json` in the data folder says."""
        running = json.loads(self._runtime.read_text())
        found: dict[str, int] = running["pids"]
        return found

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-5_000:] if self.log.exists() else ""

    def token(self, sub: str, *roles: str) -> dict[str, str]:
        """The header of somebody signed in."""
        return bearer(sub, *roles)

    def books(self) -> dict[str, Any]:
        """What the payment provider has in its own books."""
        answer = httpx.get(f"{self.provider_url}/v1/books", trust_env=False, timeout=10)
        books: dict[str, Any] = answer.raise_for_status().json()
        return books

    async def books_when_captured(self) -> dict[str, Any]:
        """The same, once nothing is held any more: the money of an order that stands is taken beside the answer."""
        return await eventually(
            lambda: asyncio.to_thread(self.books),
            lambda books: books["authorised"]["count"] == 0,
            within_seconds=CAPTURED_WITHIN_SECONDS,
        )

    @property
    def _runtime(self) -> Path:
        return self.var / "runtime.json"

    @staticmethod
    def _ready(url: str) -> bool:
        try:
            return httpx.get(f"{url}/readyz", trust_env=False, timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def bearer(sub: str, *roles: str) -> dict[str, str]:
    """The header of somebody signed in to any shop of the tests."""
    claims = {"sub": sub, "roles": list(roles), "exp": int(time.time()) + TOKEN_LIFE_SECONDS}
    return {"Authorization": f"Bearer {jwt.encode(claims, JWT_SECRET, algorithm='HS256')}"}


@contextmanager
def a_shop(folder: Path, **settings: str) -> Iterator[RunningShop]:
    """Not started yet; whatever it started is gone afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    for part in ("COMMAND", "QUERY", "PROVIDER", "PROJECTOR"):
        environment[f"COUNTERFOIL_{part}_PORT"] = str(free_port())
    environment |= {"COUNTERFOIL_VAR": str(folder / "var"), "COUNTERFOIL_JWT_SECRET": JWT_SECRET, **settings}
    shop = RunningShop(folder / "var", environment)
    try:
        yield shop
    finally:
        if shop.process is not None and shop.process.poll() is None:
            shop.stop()
        shutil.rmtree(folder / "var", ignore_errors=True)
