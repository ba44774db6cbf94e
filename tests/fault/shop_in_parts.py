"""The shop as it runs on several machines: every part a process of its own, and proxies between those that talk."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from counterfoil.embedded.launch import Launch
from counterfoil.embedded.postgres import PostgresServer
from counterfoil.embedded.valkey import ValkeyServer
from tests.e2e.running_shop import JWT_SECRET
from tests.fixtures.flaky_proxy import FlakyProxy
from tests.fixtures.ports import free_port

READY_TIMEOUT_SECONDS: Final = 60
ASK_TIMEOUT_SECONDS: Final = 2
END_TIMEOUT_SECONDS: Final = 20
MIGRATION_TIMEOUT_SECONDS: Final = 120
POLL_SECONDS: Final = 0.05
VALKEY_MEMORY_MB: Final = 256
LAST_WORDS_CHARACTERS: Final = 3_000
PARTS: Final = ("provider", "command-api", "query-api", "projector")


class Killable:
    """One process: killed at any moment, and started again on what it left."""

    def __init__(self, name: str, launch: Callable[[], Launch], is_ready: Callable[[], bool], log: Path) -> None:
        self.name = name
        self.log = log
        self.ends_count = 0
        """How often it ended of its own accord."""
        self._launch = launch
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._begin(await asyncio.to_thread(self._launch))  # Postgres's waits for what a crash has left

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_TIMEOUT_SECONDS)

    async def until_ready(self) -> None:
        """Starts it again where it ended by itself. Raises AssertionError when it is not ready in 60 s."""
        until = time.monotonic() + READY_TIMEOUT_SECONDS
        while not await asyncio.to_thread(self._is_ready):
            assert time.monotonic() < until, f"{self.name} is not ready:\n{self.said()}"
            if self._process is not None and self._process.poll() is not None:
                self.ends_count += 1
                await self.start()
            await asyncio.sleep(POLL_SECONDS)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def _begin(self, launch: Launch) -> None:
        """In the main thread: it dies with the thread that has started it."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                launch.arguments, **launch.options, stdout=output, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        """The end of what it said in all its lives."""
        return self.log.read_text(errors="replace")[-LAST_WORDS_CHARACTERS:]


class ShopInParts:
    """`clients`, `database`, `payments`: the ways to the command API, and from it to Postgres and the provider."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder
        self._settings = settings
        self._ports = {part: free_port() for part in PARTS}
        self._postgres = PostgresServer(folder / "postgres")
        self._valkey = ValkeyServer(folder / "valkey", VALKEY_MEMORY_MB)
        self._postgres.prepare()
        self._valkey.prepare()
        self.database_url = self._postgres.url
        self.provider_url = self._url_of("provider")
        self.query_url = self._url_of("query-api")
        self.clients = FlakyProxy(self._url_of("command-api"))
        self.database = FlakyProxy(self.database_url)
        self.payments = FlakyProxy(self.provider_url)
        log = self._log_of
        self.parts = {
            "postgres": Killable("postgres", self._postgres.launch, self._postgres.is_ready, log("postgres")),
            "valkey": Killable("valkey", self._valkey.launch, self._valkey.is_ready, log("valkey")),
            **{
                part: Killable(part, partial(self._part, part), partial(self._answers, part), log(part))
                for part in PARTS
            },
        }

    async def start(self) -> None:
        servers = [self.parts["postgres"], self.parts["valkey"]]
        for server in servers:
            await server.start()
        for server in servers:
            await server.until_ready()
        await asyncio.to_thread(self._migrate)
        for part in PARTS:
            await self.parts[part].start()
        for part in PARTS:
            await self.parts[part].until_ready()

    def stop(self) -> None:
        for part in reversed(self.parts.values()):
            part.stop()
        self._postgres.close()

    def _migrate(self) -> None:
        environment = dict(self._part("migrate").environment)
        command = [sys.executable, "-m", "counterfoil.part", "migrate"]
        subprocess.run(command, env=environment, timeout=MIGRATION_TIMEOUT_SECONDS, check=True, capture_output=True)

    def _part(self, part: str) -> Launch:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
        environment |= {
            f"COUNTERFOIL_{name.split('-')[0].upper()}_PORT": str(port) for name, port in self._ports.items()
        }
        environment |= {
            "COUNTERFOIL_VAR": str(self._folder / "var"),
            "COUNTERFOIL_JWT_SECRET": JWT_SECRET,
            "COUNTERFOIL_PROVIDER_URL": self.payments.url,
            "COUNTERFOIL_WEBHOOK_URL": f"{self.clients.url}/v1/webhooks/payments",
            "DATABASE_URL": self.database.url if part == "command-api" else self.database_url,
            "REDIS_URL": self._valkey.url,
            **self._settings,
        }
        return Launch(command=(sys.executable, "-m", "counterfoil.part", part), environment=environment)

    def _answers(self, part: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[part], timeout=ASK_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _url_of(self, part: str) -> str:
        return f"http://127.0.0.1:{self._ports[part]}"

    def _log_of(self, part: str) -> Path:
        return self._folder / f"{part}.log"


@asynccontextmanager
async def a_shop_in_parts(folder: Path, **settings: str) -> AsyncIterator[ShopInParts]:
    """Ready; whatever it started is gone afterwards."""
    shop = ShopInParts(folder, **settings)
    async with AsyncExitStack() as stack:
        for proxy in (shop.clients, shop.database, shop.payments):
            await stack.enter_async_context(proxy)
        try:
            await shop.start()
            yield shop
        finally:
            await asyncio.to_thread(shop.stop)
            shutil.rmtree(folder / "var", ignore_errors=True)
