"""The page that tells how a process is that has no API of its own: /healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CONNECTIONS_LIMIT_COUNT = 64
GOODBYE_SECONDS = 4.0
_log = structlog.get_logger(__name__)


class Working(Protocol):
    """What the process is for."""

    async def run(self) -> None:
        """Until cancelled. Raises when it cannot go on."""

    def troubles(self) -> dict[str, str]:
        """What cannot work at present, and why. Empty: all is well."""
        ...

    def positions(self) -> dict[str, int]:
        """How far in the log, by name."""
        ...

    def degraded(self) -> list[str]:
        """What it has to do without, and can."""
        ...


def run_with_vitals(
    name: str,
    opening: AbstractAsyncContextManager[Working],
    registry: CollectorRegistry,
    *,
    host: str,
    port: int,
) -> None:
    """Works until SIGTERM or Ctrl-C. Ends the process with status 1 when the work cannot go on."""
    process = _Process(name, opening, registry)
    server = uvicorn.Server(
        uvicorn.Config(
            process.app,
            host=host,
            port=port,
            loop="uvloop",
            log_config=None,
            access_log=False,
            limit_concurrency=CONNECTIONS_LIMIT_COUNT,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
    )

    def stop_serving() -> None:
        server.should_exit = True

    process.stop_serving = stop_serving
    server.run()
    if process.failed:
        sys.exit(1)


class _Process:
    def __init__(self, name: str, opening: AbstractAsyncContextManager[Working], registry: CollectorRegistry) -> None:
        self._name = name
        self._opening = opening
        self._registry = registry
        self._working: Working | None = None
        self.failed = False
        self.stop_serving: Callable[[], None] = _nothing
        routes = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        self.app = Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._opening as self._working:
            running = asyncio.create_task(self._working.run())
            running.add_done_callback(self._ended)
            try:
                yield
            finally:
                running.cancel()
                await asyncio.wait([running], timeout=GOODBYE_SECONDS)

    def _ended(self, running: asyncio.Task[None]) -> None:
        if running.cancelled():
            return
        self.failed = True
        _log.critical("cannot_go_on", name=self._name, exc_info=running.exception())
        self.stop_serving()

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, _: Request) -> Response:
        """Ready when nothing keeps it from working; how far behind it is, the metrics tell."""
        troubles = self._working.troubles() if self._working else {self._name: "has not started yet"}
        body = {
            "status": "unready" if troubles else "ready",
            "missing": sorted(troubles),
            "degraded": self._working.degraded() if self._working else [],
            "positions": self._working.positions() if self._working else {},
        }
        return JSONResponse(body, 503 if troubles else 200)

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _nothing() -> None:
    pass
