"""The shop that an import writes to, and that nobody else imports into it meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg

from commandside.event_store.postgres import PostgresEventStore
from commandside.payments.http_provider import HttpPaymentProvider
from counterfoil import wiring
from counterfoil.imports.errors import ImportStopped
from counterfoil.settings import Settings

CONNECT_TIMEOUT_SECONDS: Final = 5
# The lock's number in Postgres, ours by agreement with nobody but ourselves: "import" in ASCII.
_LOCK: Final = int.from_bytes(b"import")


@asynccontextmanager
async def connected_store(settings: Settings) -> AsyncIterator[PostgresEventStore]:
    """The event store, held against other imports until the end, whatever end that is.

    Raises ImportStopped when the database does not answer, has no tables, or another import is running.
    """
    async with await _connect(settings) as connection:
        (locked,) = await _one(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK)
        if not locked:
            raise ImportStopped("Another import is running in this shop. Let it end, or stop it, then run this one.")
        (there,) = await _one(connection, "SELECT to_regclass(%s) IS NOT NULL", "log.stored_events")
        if not there:
            raise ImportStopped("The database has no tables yet: run the command `migrate` first.")
        store = wiring.event_store(settings)
        try:
            yield store
        finally:
            store.close()


@asynccontextmanager
async def connected_provider(settings: Settings) -> AsyncIterator[HttpPaymentProvider]:
    """The built-in one: what was paid long ago is not taken again. Raises ImportStopped when it is not ready."""
    if settings.payments != "builtin":
        raise ImportStopped(
            "Invoices are imported with the built-in payment provider only: set COUNTERFOIL_PAYMENTS=builtin."
        )
    async with HttpPaymentProvider(settings.provider_base_url) as provider:
        if not await provider.is_ready():
            raise ImportStopped(
                f"The payment provider at {settings.provider_base_url} is not ready. `make up` starts one; "
                "COUNTERFOIL_PROVIDER_URL names another."
            )
        yield provider


async def _connect(settings: Settings) -> psycopg.AsyncConnection:
    try:
        return await psycopg.AsyncConnection.connect(
            settings.database_url or "", autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS
        )
    except psycopg.OperationalError as error:
        raise ImportStopped(f"The database does not answer: {error}") from error


async def _one(connection: psycopg.AsyncConnection, query: str, argument: object) -> tuple[bool]:
    row = await (await connection.execute(query.encode(), (argument,))).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    return (bool(row[0]),)
