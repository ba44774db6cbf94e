"""Which relay sends: one at a time, by an advisory lock of Postgres."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg

from commandside.event_store.errors import StoreUnavailable

# Any number will do that nobody else of this database uses for an advisory lock.
LEADER_LOCK = 0x72656C6179
CONNECT_TIMEOUT_SECONDS = 5


class LeadershipLost(Exception):
    """Another relay leads, or may: nothing more may be sent."""


class Leadership:
    """A lease: good for `lease_seconds` from the last question that Postgres answered.

    Postgres ends the session, and with it the lock, when it hears nothing for as long. A leader that is dead, frozen or
    cut off is therefore none any more, and knows it, before another can be. `position` is what was saved last.
    """

    def __init__(self, connection: psycopg.AsyncConnection, lease_seconds: float) -> None:
        self.epoch = 0
        self.position = 0
        self._connection = connection
        self._lease_seconds = lease_seconds
        self._good_until = 0.0

    def check(self) -> None:
        """Raises LeadershipLost."""
        if time.monotonic() >= self._good_until:
            raise LeadershipLost(f"Postgres has not confirmed it for {self._lease_seconds} s.")

    async def renew(self) -> None:
        """Raises LeadershipLost."""
        await self._ask("SELECT epoch, position FROM relay.checkpoint WHERE epoch = %s", (self.epoch,))

    async def save(self, position: int) -> None:
        """Everything up to `position` is in Kafka. Renews too. Raises LeadershipLost; then nothing was saved."""
        await self._ask(
            "UPDATE relay.checkpoint SET position = greatest(position, %s), saved_at = now() "
            "WHERE epoch = %s RETURNING epoch, position",
            (position, self.epoch),
        )

    async def _take_over(self) -> bool:
        """False while another leads."""
        asked_at = time.monotonic()
        cursor = await self._connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,))
        if await cursor.fetchone() != (True,):
            return False
        cursor = await self._connection.execute(
            "UPDATE relay.checkpoint SET epoch = epoch + 1 RETURNING epoch, position"
        )
        self._confirm(await cursor.fetchone(), asked_at)
        return True

    async def _ask(self, query: str, params: tuple[int, ...]) -> None:
        self.check()
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(self._good_until - asked_at):
                cursor = await self._connection.execute(query, params)
                self._confirm(await cursor.fetchone(), asked_at)
        except (psycopg.OperationalError, TimeoutError) as error:
            raise LeadershipLost(f"Postgres does not confirm it: {error}") from error

    def _confirm(self, row: tuple[int, int] | None, asked_at: float) -> None:
        if row is None:
            raise LeadershipLost("Another relay has taken over.")
        self.epoch, self.position = row
        self._good_until = asked_at + self._lease_seconds


@asynccontextmanager
async def leading(
    database_url: str,
    answered: Callable[[], None],
    *,
    lease_seconds: float = 3.0,
    stand_by_interval_seconds: float = 0.5,
) -> AsyncIterator[Leadership]:
    """Stands by until no other relay leads, then leads. `answered` is called whenever Postgres has answered.

    Raises StoreUnavailable when it does not.

    The connection must be to Postgres itself: the lock is its session's, which a pooler may give to somebody else.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(
            database_url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS, application_name="relay"
        )
    except psycopg.OperationalError as error:
        raise StoreUnavailable(str(error)) from error
    try:
        leadership = Leadership(connection, lease_seconds)
        try:
            await connection.execute(f"SET idle_session_timeout = {round(lease_seconds * 1_000)}")
            # unbounded: a relay that stands by does so until it is needed
            while True:
                async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                    leads = await leadership._take_over()
                answered()
                if leads:
                    break
                await asyncio.sleep(stand_by_interval_seconds)
        except (psycopg.OperationalError, TimeoutError) as error:
            raise StoreUnavailable(str(error)) from error
        yield leadership
    finally:
        await connection.close()
