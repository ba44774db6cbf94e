"""One relay leads. Whoever is dead, frozen or late is not it, and cannot say how far Kafka has everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest

from commandside.event_store.errors import StoreUnavailable
from streams.relay.leadership import LEADER_LOCK, Leadership, LeadershipLost, leading

LEASE_SECONDS = 20.0  # longer than any pause of a busy machine
PATIENCE_SECONDS = 60.0
STAND_BY_SECONDS = 0.05


@asynccontextmanager
async def relay(database_url: str, lease_seconds: float = LEASE_SECONDS) -> AsyncIterator[Leadership]:
    async with leading(
        database_url, ignore, lease_seconds=lease_seconds, stand_by_interval_seconds=STAND_BY_SECONDS
    ) as leadership:
        yield leadership


def ignore() -> None:
    pass


async def saved(database_url: str) -> tuple[int, int]:
    """Epoch and position."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("SELECT epoch, position FROM relay.checkpoint")
        ((epoch, position),) = await cursor.fetchall()
        return epoch, position


async def end_session_of_leader(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND (classid::bigint << 32 | objid::bigint) = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (LEADER_LOCK,),
        )


async def test_a_leader_takes_up_where_the_last_one_stopped(database_url: str) -> None:
    async with relay(database_url) as first:
        assert (first.epoch, first.position) == (1, 0)
        await first.save(17)
        await first.save(12)  # never back
        assert await saved(database_url) == (1, 17)

    async with relay(database_url) as second:
        assert (second.epoch, second.position) == (2, 17)
        await second.renew()
        second.check()


async def test_the_others_stand_by_until_it_is_gone(database_url: str) -> None:
    answered = asyncio.Event()
    async with AsyncExitStack() as others:
        async with relay(database_url):
            standing_by = asyncio.create_task(
                others.enter_async_context(
                    leading(database_url, answered.set, stand_by_interval_seconds=STAND_BY_SECONDS)
                )
            )
            async with asyncio.timeout(PATIENCE_SECONDS):
                await answered.wait()
            assert not standing_by.done()
        async with asyncio.timeout(PATIENCE_SECONDS):
            leadership = await standing_by
        assert leadership.epoch == 2


async def test_a_leader_whose_session_ended_leads_no_more(database_url: str) -> None:
    async with relay(database_url) as leadership:
        await end_session_of_leader(database_url)
        with pytest.raises(LeadershipLost):
            await leadership.save(5)
    assert await saved(database_url) == (1, 0)


async def test_a_frozen_leader_loses_the_lock_and_knows_it_before_another_leads(database_url: str) -> None:
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        relay(database_url, lease_seconds=3.0) as frozen,
        relay(database_url) as next_one,
    ):
        with pytest.raises(LeadershipLost):
            frozen.check()
        with pytest.raises(LeadershipLost):
            await frozen.save(5)
        assert next_one.epoch == 2
    assert await saved(database_url) == (2, 0)


async def test_who_still_believes_to_lead_after_another_took_over_saves_nothing(database_url: str) -> None:
    async with relay(database_url) as believer:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute("UPDATE relay.checkpoint SET epoch = epoch + 1, position = 3")
        for ask in (believer.save(9), believer.renew()):
            with pytest.raises(LeadershipLost, match="taken over"):
                await ask
    assert await saved(database_url) == (2, 3)


async def test_without_postgres_it_says_so() -> None:
    with pytest.raises(StoreUnavailable):
        async with relay("postgresql://nobody@127.0.0.1:1/nothing"):
            pass
