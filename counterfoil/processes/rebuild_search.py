"""`counterfoil rebuild search` and `verify search`: the tables that answer searches; OpenSearch is a copy of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import psycopg
import redis.exceptions
from psycopg_pool import PoolTimeout
from rich.console import Console

from counterfoil import log_tool
from counterfoil.embedded.errors import CannotStartError
from counterfoil.imports.stopping import asked_to_stop
from counterfoil.processes.rebuild import INTERRUPTED, SEARCH_LOCK, Action, alone, open_stores
from counterfoil.processes.verify import SHOWN_LIMIT_COUNT, readable
from counterfoil.progress import say, shown_on
from counterfoil.stored_form import event_mapper
from projections.search import listing, open_search_projection, sale
from projections.stock_level import EVENT_TYPES as STOCK_EVENT_TYPES
from streams.log_pages import LogPages
from streams.postgres_streams import PostgresStreams
from streams.rebuild import RebuildStopped
from streams.rebuild_search import SearchRebuild
from streams.verify_search import SearchVerification

if TYPE_CHECKING:
    from counterfoil.settings import Settings

NAME: Final = "search"
EVENT_TYPES: Final = (*listing.EVENT_TYPES, *STOCK_EVENT_TYPES, *sale.EVENT_TYPES)
_AWAY: Final = (psycopg.Error, PoolTimeout, redis.exceptions.RedisError, OSError)


def rebuild(settings: Settings, action: Action) -> int:
    """0 when it is done, INTERRUPTED when it was stopped before. Raises CannotStartError, which says what to do."""
    console = Console()
    try:
        finished = log_tool.run(_rebuild(settings, action, console))
    except asyncio.CancelledError:  # asked twice
        finished = False
    except (RebuildStopped, *_AWAY) as error:
        raise CannotStartError(f"{NAME}: {error}") from error
    if not finished:
        say(console, f"Stopped. The command `rebuild {NAME}` goes on where it was.")
    return 0 if finished else INTERRUPTED


def verify(settings: Settings, *, as_json: bool) -> int:
    """0 when the tables are as the log says, 1 when anything differs. Raises CannotStartError."""
    try:
        return log_tool.run(_verify(settings, Console(), as_json))
    except KeyboardInterrupt:
        return INTERRUPTED
    except _AWAY as error:
        raise CannotStartError(f"{NAME}: a store does not answer: {error}") from error


async def _rebuild(settings: Settings, action: Action, console: Console) -> bool:
    assert settings.database_url is not None  # open_stores says so
    mapper = event_mapper(settings)
    with shown_on(console) as progress, asked_to_stop() as stopping:
        async with (
            open_stores(settings) as (_, pool),
            open_search_projection(settings.database_url, PostgresStreams(pool, mapper), building=True) as projection,
            alone(pool, SEARCH_LOCK),
        ):
            work = SearchRebuild(pool, LogPages(pool, EVENT_TYPES, mapper), projection, progress, stopping)
            if action == "run":
                return await work.run()
            await getattr(work, action)()
            return True


async def _verify(settings: Settings, console: Console, as_json: bool) -> int:
    async with open_stores(settings) as (_, pool), pool.connection() as connection:
        verification, count = SearchVerification(connection, LogPages(pool, EVENT_TYPES, event_mapper(settings))), 0
        async for difference in verification.differences():
            count += 1
            if count <= SHOWN_LIMIT_COUNT:
                say(console, msgspec.json.encode(difference).decode() if as_json else readable(difference))
    if not as_json:
        say(
            console,
            f"{NAME}: {verification.streams_count:,} streams compared, {count:,} differences. The tables stand at "
            f"position {verification.position}.",
        )
    return 1 if count else 0
