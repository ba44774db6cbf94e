from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from counterfoil.http.protocol import ProblemProtocol

# Below what the supervisor gives the parts (half of its 9 s): requests are ended here, with an answer, and not there.
GRACE_SECONDS: Final = 4
CONNECTIONS_LIMIT_COUNT: Final = 12_000  # 10,000 checkouts may wait at once
BACKLOG_LIMIT_CONNECTIONS: Final = 4_096


def serve(app: ASGIApp, host: str, port: int, *, stopping: Callable[[], None] | None = None) -> None:
    """Serves until SIGTERM or Ctrl-C, then gives requests that are under way their time.

    `stopping` is called in the event loop before they are waited for; what waits for long should come to an end then.
    """
    server = make_server(app, host, port, stopping=stopping)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(uvicorn.config.STARTUP_FAILURE)


def make_server(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    stopping: Callable[[], None] | None = None,
    grace_seconds: int = GRACE_SECONDS,
) -> uvicorn.Server:
    config = uvicorn.Config(
        _ending(app),
        host=host,
        port=port,
        loop="uvloop",
        http=ProblemProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS_LIMIT_COUNT,
        backlog=BACKLOG_LIMIT_CONNECTIONS,
        timeout_graceful_shutdown=grace_seconds,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
    )
    return _Server(config, stopping)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # The application's own shutdown comes after the last request: too late for those that wait.
        if self._stopping is not None:
            self._stopping()
        await super().shutdown(sockets)


def _ending(app: ASGIApp) -> ASGIApp:
    """A request that the server cancels has been answered (FaultsOfOurs), and is no fault to be logged."""

    async def ended(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise

    return ended
