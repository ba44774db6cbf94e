from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp

GRACE_SECONDS = 4
CONNECTIONS_LIMIT_COUNT = 12_000  # 10,000 checkouts may wait at once
BACKLOG_LIMIT_CONNECTIONS = 4_096


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serves until SIGTERM or Ctrl-C, then gives requests that are under way their time."""
    uvicorn.run(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS_LIMIT_COUNT,
        backlog=BACKLOG_LIMIT_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
    )
