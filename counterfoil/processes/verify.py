"""`counterfoil verify VIEW`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import psycopg
import redis.exceptions
from psycopg_pool import PoolTimeout
from rich.console import Console

from counterfoil import log_tool
from counterfoil.embedded.errors import CannotStartError
from counterfoil.processes.rebuild import INTERRUPTED, open_stores
from counterfoil.progress import say
from counterfoil.stored_form import event_mapper
from projections.generations import ViewName
from projections.keys import Keys
from streams.log_pages import LogPages
from streams.verify import Verification
from streams.verify_differences import Difference
from streams.view_feeds import VIEWS

if TYPE_CHECKING:
    from counterfoil.settings import Settings

SHOWN_LIMIT_COUNT: Final = 1_000


def main(settings: Settings, view: ViewName, *, as_json: bool) -> int:
    """0 when the view is as the log says, 1 when anything differs. Raises CannotStartError, which says what to do."""
    try:
        return log_tool.run(_verify(settings, view, Console(), as_json))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (psycopg.Error, PoolTimeout, redis.exceptions.RedisError, OSError) as error:
        raise CannotStartError(f"{view}: a store does not answer: {error}") from error


async def _verify(settings: Settings, view: ViewName, console: Console, as_json: bool) -> int:
    async with open_stores(settings) as (client, pool):
        log = LogPages(pool, VIEWS[view](Keys()).event_types, event_mapper(settings))
        verification, count = Verification(view, client, log), 0
        async for difference in verification.differences():
            count += 1
            if count <= SHOWN_LIMIT_COUNT:
                say(console, msgspec.json.encode(difference).decode() if as_json else readable(difference))
        last_position = await log.last_position()
    if not as_json:
        if count > SHOWN_LIMIT_COUNT:
            say(console, f"… and {count - SHOWN_LIMIT_COUNT:,} more.")
        say(
            console,
            f"{view}, generation {verification.generation}: {verification.streams_count:,} streams and "
            f"{verification.keys_count:,} keys compared, {count:,} differences. The view stands at position "
            f"{verification.position}, the log ends at {last_position}.{late(verification.position, last_position)}",
        )
    return 1 if count else 0


def late(position: int, last_position: int) -> str:
    """Of a view that does not hold all of the log: what it has not taken is no difference, and may be all there is."""
    if position >= last_position:
        return ""
    return f" It is behind: nothing is said about what comes after position {position}."


def readable(difference: Difference) -> str:
    field = "" if difference.field is None else f" {difference.field}"
    stored = "nothing" if difference.stored is None else difference.stored
    expected = "nothing" if difference.expected is None else difference.expected
    return f"{difference.what}: {difference.key}{field}: stored {stored}, expected {expected}"
