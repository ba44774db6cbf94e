"""Fills a shop whose log is empty with the demo catalogue."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import psycopg
import structlog

from counterfoil.embedded.errors import CannotStartError

if TYPE_CHECKING:
    from counterfoil.settings import Settings

CONNECT_TIMEOUT_SECONDS: Final = 5
_log = structlog.get_logger(__name__)


def main(settings: Settings) -> None:
    """Raises CannotStartError when the database does not answer."""
    if settings.database_url is None:
        raise CannotStartError("There is no database: set DATABASE_URL, or start the shop.")
    if _is_empty(settings.database_url):
        asyncio.run(_seed(settings))


def _is_empty(database_url: str) -> bool:
    try:
        with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            row = connection.execute("SELECT NOT EXISTS (SELECT FROM log.stored_events)").fetchone()
    except psycopg.Error as error:
        raise CannotStartError(f"The database does not answer, or has no tables yet: {error}") from error
    return row is not None and bool(row[0])


async def _seed(settings: Settings) -> None:
    # Every start comes by here, and nearly every one finds a shop that is not empty: it loads nothing more for that.
    from counterfoil import wiring  # noqa: PLC0415
    from counterfoil.demo.seeding import seed  # noqa: PLC0415

    store = wiring.event_store(settings)
    try:
        _log.info("demo shop", products=await seed(store, wiring.now()))
    finally:
        store.close()
