"""A connection that the event loop waits for: answers whole and each to its own question, errors as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import psycopg
import pytest

from commandside.event_store import binary_arrays as arrays
from commandside.event_store.loop_connection import LoopConnection
from tests.waiting import eventually

MORE_THAN_A_SOCKET_TAKES_BYTES = 20_000_000
END_WHO_SLEEPS = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[LoopConnection]:
    connection = LoopConnection(database_url, connect_timeout_seconds=5)
    yield connection
    connection.close()


async def test_what_is_larger_than_a_socket_takes_goes_both_ways(connection: LoopConnection) -> None:
    sent = bytes(range(256)) * (MORE_THAN_A_SOCKET_TAKES_BYTES // 256)
    assert (await connection.fetch("SELECT $1::bytea", sent)).get_value(0, 0) == sent


async def test_questions_at_once_have_each_their_own_answer(connection: LoopConnection) -> None:
    asked = [str(number).encode() for number in range(50)]
    answers = await asyncio.gather(*(connection.fetch("SELECT $1::bytea", one) for one in asked))
    assert [answer.get_value(0, 0) for answer in answers] == asked


async def test_a_statement_that_fails_leaves_the_connection_as_it_was(connection: LoopConnection) -> None:
    backend = (await connection.fetch("SELECT pg_backend_pid()")).get_value(0, 0)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await connection.fetch("SELECT 1 / 0 WHERE $1::bytea IS NOT NULL", b"")
    assert (await connection.fetch("SELECT pg_backend_pid()")).get_value(0, 0) == backend


async def test_a_statement_that_cannot_be_prepared_is_an_error_each_time(connection: LoopConnection) -> None:
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            await connection.fetch("SELECT * FROM nothing_of_that_name")


async def test_given_up_in_the_middle_its_answer_is_nobodys(connection: LoopConnection) -> None:
    await connection.fetch("SELECT $1::bytea", b"before")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connection.fetch("SELECT pg_sleep(5)")
    assert (await connection.fetch("SELECT $1::bytea", b"after")).get_value(0, 0) == b"after"


async def test_a_session_that_the_server_ended_is_an_error_and_then_made_anew(
    database_url: str, connection: LoopConnection
) -> None:
    waiting = asyncio.create_task(connection.fetch("SELECT pg_sleep(30)"))
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:

        async def ended() -> object:
            return await (await other.execute(END_WHO_SLEEPS)).fetchone()

        await eventually(ended, lambda count: count == (1,))
    with pytest.raises(psycopg.OperationalError):
        await waiting
    assert (await connection.fetch("SELECT $1::bytea", b"again")).get_value(0, 0) == b"again"


async def test_closed_whoever_waits_is_told(connection: LoopConnection) -> None:
    await connection.open()
    waiting = asyncio.create_task(connection.fetch("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.2)
    connection.close()
    with pytest.raises(psycopg.OperationalError):
        await waiting


async def test_arrays_arrive_as_they_were(database_url: str, connection: LoopConnection) -> None:
    ids = [uuid4(), UUID(int=0)]
    whole = [0, -1, 2**63 - 1, -(2**63)]
    texts, blobs = ["", "order.placed.v1", "später"], [b"", b"\x00\xff", b"x" * 70_000]
    east = timezone(timedelta(hours=5, minutes=30))
    times = [None, datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2026, 3, 1, 12, 0, 0, 1, east)]
    await connection.fetch(
        "CREATE TABLE arrived AS SELECT $1::uuid[] a, $2::bigint[] b, $3::text[] c, $4::bytea[] d, $5::timestamptz[] e,"
        " $6::uuid[] f",
        arrays.uuids(ids),
        arrays.bigints(whole),
        arrays.topics(texts),
        arrays.byteas(blobs),
        arrays.times(times),
        arrays.uuids([]),
    )
    with psycopg.connect(database_url) as seen:
        row = seen.execute("SELECT * FROM arrived").fetchone()
    assert row == (ids, whole, texts, blobs, times, [])
