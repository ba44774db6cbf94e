"""`counterfoil rebuild VIEW`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg
import redis.exceptions
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.asyncio import Redis
from rich.console import Console

from counterfoil import log_tool
from counterfoil.embedded.errors import CannotStartError
from counterfoil.imports.stopping import asked_to_stop
from counterfoil.progress import shown_on
from counterfoil.stored_form import event_mapper
from projections.generations import VIEW_NAMES, ViewName
from projections.keys import Keys
from projections.valkey import open_redis
from streams.log_pages import LogPages
from streams.postgres_streams import PostgresStreams
from streams.rebuild import Bounds, Rebuild, RebuildStopped
from streams.view_feeds import VIEWS

if TYPE_CHECKING:
    from counterfoil.settings import Settings

INTERRUPTED: Final = 130
REDIS_TIMEOUT_SECONDS: Final = 5.0
CONNECT_TIMEOUT_SECONDS: Final = 5
STATEMENT_TIMEOUT_SECONDS: Final = 60
# The lock's number in Postgres, one per view: "rebuild" in ASCII, and on from there.
_LOCK: Final = int.from_bytes(b"rebuild")
SEARCH_LOCK: Final = _LOCK + len(VIEW_NAMES)

Action = Literal["run", "back", "drop_old", "abandon"]
_Pool = AsyncConnectionPool[psycopg.AsyncConnection]


def main(settings: Settings, view: ViewName, action: Action, seed: int) -> int:
    """0 when it is done, INTERRUPTED when it was stopped before. Raises CannotStartError, which says what to do."""
    console = Console()
    try:
        finished = log_tool.run(_rebuild(settings, view, action, seed, console))
    except asyncio.CancelledError:  # asked twice
        finished = False
    except (RebuildStopped, psycopg.Error, PoolTimeout, redis.exceptions.RedisError, OSError) as error:
        raise CannotStartError(f"{view}: {error}") from error
    if not finished:
        console.print(f"Stopped. `counterfoil rebuild {view}` goes on where it was.", highlight=False, soft_wrap=True)
    return 0 if finished else INTERRUPTED


async def _rebuild(settings: Settings, view: ViewName, action: Action, seed: int, console: Console) -> bool:
    with shown_on(console) as progress, asked_to_stop() as stopping:
        async with open_stores(settings) as (client, pool):
            mapper = event_mapper(settings)
            log = LogPages(pool, VIEWS[view](Keys()).event_types, mapper)
            streams = PostgresStreams(pool, mapper)
            rebuild = Rebuild(view, client, log, streams, progress, stopping, Bounds(seed=seed))
            async with alone(pool, _LOCK + VIEW_NAMES.index(view)):
                if action == "run":
                    return await rebuild.run()
                await getattr(rebuild, action)()
                return True


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[tuple[Redis, _Pool]]:
    """Valkey, and Postgres with as many connections as a rebuild or a verification has use for."""
    if settings.database_url is None or settings.redis_url is None:
        raise CannotStartError("There is nothing to read: set DATABASE_URL and REDIS_URL, or start the shop.")
    pool: _Pool = AsyncConnectionPool(
        settings.database_url,
        kwargs={
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS * 1000} -c jit=off",
        },
        min_size=0,
        max_size=4,
        timeout=CONNECT_TIMEOUT_SECONDS,
        name="rebuild",
        open=False,
    )
    async with open_redis(settings.redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS) as client, pool:
        yield client, pool


@asynccontextmanager
async def alone(pool: AsyncConnectionPool[Any], number: int) -> AsyncIterator[None]:
    """Held against other rebuilds of the view, until the end, whatever end that is. Raises RebuildStopped."""
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (number,))).fetchone()
        if not (row and row[0]):
            raise RebuildStopped("another rebuild of it is running. Let it end, or stop it.")
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock(%s)", (number,))
