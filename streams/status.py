"""How far every consumer of the log is: its position, how many events behind, and how old the oldest of those is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from msgspec import Struct
from redis.asyncio import Redis

from commandside.event_store.mapper import EventMapper
from projections.generations import Generations
from projections.keys import Keys
from streams.dead_letters import RedisDeadLetters

# Counting stops there: "so many or more" is all that anybody wants to know.
BEHIND_LIMIT_EVENTS: Final = 1_000_000

_LAST: Final = "SELECT coalesce(max(notification_id), 0) FROM log.stored_events"
_BEHIND: Final = (
    "SELECT count(*) FROM "
    "(SELECT FROM log.stored_events WHERE notification_id > %s ORDER BY notification_id LIMIT %s) AS counted"
)
_NEXT: Final = (
    "SELECT notification_id, originator_id, originator_version, topic, state FROM log.stored_events "
    "WHERE notification_id > %s ORDER BY notification_id LIMIT 1"
)
_THERE: Final = "SELECT to_regclass(%s) IS NOT NULL"
# Consumers that keep their place in Postgres: their table, and how to ask it.
_IN_POSTGRES: Final = {
    "search": ("search.checkpoint", "SELECT position FROM search.checkpoint WHERE projection = 'search'"),
    "relay": ("relay.checkpoint", "SELECT position FROM relay.checkpoint"),
}


class Consumer(Struct, frozen=True, kw_only=True):
    """`lag_seconds` is the age of the oldest event that it has not taken yet; 0 when there is none.

    `events_behind` counts to BEHIND_LIMIT_EVENTS. `fed` says whether somebody keeps it up now, where that is known.
    """

    name: str
    position: int
    events_behind: int
    lag_seconds: float
    generation: int | None = None
    fed: bool | None = None
    streams_set_aside: int | None = None


async def log_end(connection: psycopg.AsyncConnection[Any]) -> int:
    """The last position of the log."""
    return int(await _one(connection, _LAST))


async def views_status(
    connection: psycopg.AsyncConnection[Any], client: Redis, mapper: EventMapper, now: datetime
) -> list[Consumer]:
    """Every generation of every view that is to be kept up. Raises the stores' errors."""
    found, generations = [], Generations(client)
    for fed in await generations.fed():
        held = await client.hvals(fed.keys.checkpoint(fed.view))
        set_aside = await RedisDeadLetters(client, fed.keys).streams_set_aside(fed.view)
        position = min(map(int, held), default=0)
        behind, lag_seconds = await _behind(connection, mapper, position, now)
        found.append(
            Consumer(
                name=fed.name,
                position=position,
                events_behind=behind,
                lag_seconds=lag_seconds,
                generation=fed.generation,
                fed=await generations.is_fed(fed.view, fed.generation),
                streams_set_aside=len(set_aside),
            )
        )
    return found


async def beside_views_status(
    connection: psycopg.AsyncConnection[Any],
    client: Redis,
    names: Sequence[str],
    mapper: EventMapper,
    now: datetime,
) -> list[Consumer]:
    """Of what is fed beside the views (streams/single_feed.py) those that were ever fed. Raises the stores' errors."""
    found = []
    for name in names:
        if held := await client.hvals(Keys().checkpoint(name)):
            position = min(map(int, held))
            behind, lag_seconds = await _behind(connection, mapper, position, now)
            set_aside = await RedisDeadLetters(client).streams_set_aside(name)
            found.append(
                Consumer(
                    name=name,
                    position=position,
                    events_behind=behind,
                    lag_seconds=lag_seconds,
                    streams_set_aside=len(set_aside),
                )
            )
    return found


async def index_status(
    connection: psycopg.AsyncConnection[Any], name: str, position: int, mapper: EventMapper, now: datetime
) -> Consumer:
    """Of one that told its position itself. Raises psycopg.Error."""
    behind, lag_seconds = await _behind(connection, mapper, position, now)
    return Consumer(name=name, position=position, events_behind=behind, lag_seconds=lag_seconds)


async def others_status(
    connection: psycopg.AsyncConnection[Any], names: Sequence[str], mapper: EventMapper, now: datetime
) -> list[Consumer]:
    """Of "search" and "relay" those that are named and that have a place in this database. Raises psycopg.Error."""
    found = []
    for name in names:
        table, query = _IN_POSTGRES[name]
        if await _one(connection, _THERE, table):
            position = int(await _one(connection, query) or 0)
            behind, lag_seconds = await _behind(connection, mapper, position, now)
            found.append(Consumer(name=name, position=position, events_behind=behind, lag_seconds=lag_seconds))
    return found


async def _behind(
    connection: psycopg.AsyncConnection[Any], mapper: EventMapper, position: int, now: datetime
) -> tuple[int, float]:
    behind = int(await _one(connection, _BEHIND, position, BEHIND_LIMIT_EVENTS))
    if behind == 0:
        return 0, 0.0
    cursor = await connection.execute(_NEXT.encode(), (position,), binary=True)
    (recorded,) = mapper.read_page(await cursor.fetchall())
    return behind, max(0.0, (now - recorded.event.timestamp).total_seconds())


async def _one(connection: psycopg.AsyncConnection[Any], query: str, *params: object) -> Any:
    row = await (await connection.execute(query.encode(), params)).fetchone()
    return row[0] if row else None
