"""Postgres away, hanging, or silent after the commit: what is stored is what is told, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest

from commandside.event_store import OutcomeUnknown, StoreUnavailable, VersionConflict
from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import StockItem
from domain.events import AnyEvent
from domain.identity import checkout_stream, stock_stream
from tests.fixtures.flaky_proxy import FlakyProxy
from tests.strategies import START, cause
from tests.waiting import eventually

LAMP = stock_stream("lamp", "north")
ORDER = checkout_stream(LAMP)
LATER = START + timedelta(hours=1)
ANSWER_TIMEOUT_SECONDS = 4.0
# An append may try three times, each with a wait for a connection; and the machine may be busy.
BOUND_SECONDS = 30.0
WAITING_FOR_A_LOCK: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[FlakyProxy]:
    async with FlakyProxy(database_url) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: FlakyProxy) -> AsyncIterator[PostgresEventStore]:
    """Behind the proxy, impatient."""
    store = PostgresEventStore(
        proxy.url,
        pool_size_connections=1,
        pool_overflow_connections=2,
        connect_timeout_seconds=1.0,
        attempt_pause_seconds=0.02,
        answer_timeout_seconds=ANSWER_TIMEOUT_SECONDS,
    )
    yield store
    # Its threads may still talk to the proxy, which lives in this loop.
    await asyncio.wait_for(asyncio.to_thread(store.close), BOUND_SECONDS)


@pytest.fixture
def other(database_url: str) -> Iterator[PostgresEventStore]:
    """Another process's, that sees Postgres as it is."""
    store = PostgresEventStore(database_url)
    yield store
    store.close()


def lamps(*quantities: int, actor: str = "customer:ada") -> list[AnyEvent]:
    item = StockItem.open("lamp", "north", cause(actor=actor))
    for quantity in quantities:
        item.receive(quantity, cause(actor=actor))
    return item.collect_events()


async def test_an_append_whose_answer_was_lost_is_known_to_be_ours(
    proxy: FlakyProxy, store: PostgresEventStore, other: PostgresEventStore
) -> None:
    await store.append(lamps(), {ORDER: LATER})  # and the statement is prepared: its next answer is that to the commit
    proxy.lose_answers(1)

    positions = await store.append(lamps(5, 3)[1:], {ORDER: START})

    history = await other.history(LAMP)
    assert [recorded.event for recorded in history] == lamps(5, 3)
    assert list(positions) == [recorded.position for recorded in history[1:]]
    assert await other.due_work(START, 10) == [ORDER]


async def test_an_attempt_that_failed_after_its_commit_is_not_made_again(
    monkeypatch: pytest.MonkeyPatch, store: PostgresEventStore, other: PostgresEventStore
) -> None:
    append = store._hot.append
    attempts: list[Sequence[int]] = []

    async def silent_at_first(*args: Any) -> Sequence[int]:
        attempts.append([])
        attempts[-1] = await append(*args)
        if len(attempts) == 1:
            raise psycopg.OperationalError("the connection broke after the commit")
        return attempts[-1]

    monkeypatch.setattr(store._hot, "append", silent_at_first)
    positions = await store.append(lamps(5), {})

    assert len(attempts) == 2
    assert positions == attempts[0]
    assert [recorded.position for recorded in await other.history(LAMP)] == attempts[0]


async def test_an_append_without_any_answer_may_be_there_and_is_there_once(
    proxy: FlakyProxy, store: PostgresEventStore, other: PostgresEventStore
) -> None:
    await store.append(lamps(), {})
    proxy.lose_answers(20)

    with pytest.raises(OutcomeUnknown):
        await store.append(lamps(5)[1:], {})

    proxy.lose_answers(0)
    assert [recorded.event for recorded in await other.history(LAMP)] == lamps(5)


async def test_a_version_that_another_took_while_ours_was_lost_is_a_conflict(
    monkeypatch: pytest.MonkeyPatch, store: PostgresEventStore, other: PostgresEventStore
) -> None:
    await store.append(lamps(), {})
    append = store._hot.append
    attempts: list[int] = []

    async def broken_at_first(*args: Any) -> Sequence[int]:
        attempts.append(1)
        if len(attempts) == 1:
            await other.append(lamps(7, actor="operator:bo")[1:], {})
            raise psycopg.OperationalError("the connection broke before anything was done")
        return await append(*args)

    monkeypatch.setattr(store._hot, "append", broken_at_first)
    with pytest.raises(VersionConflict):
        await store.append(lamps(5)[1:], {})
    assert [recorded.event for recorded in await other.history(LAMP)][1:] == lamps(7, actor="operator:bo")[1:]


async def test_connections_that_the_server_ended_are_replaced(database_url: str, store: PostgresEventStore) -> None:
    await store.append(lamps(), {})
    end_all_connections(database_url)
    assert len(await store.append(lamps(5)[1:], {})) == 1
    assert [recorded.event for recorded in await store.history(LAMP)] == lamps(5)


async def test_a_server_that_is_gone_is_said_to_be_within_a_bound(proxy: FlakyProxy, store: PostgresEventStore) -> None:
    await store.append(lamps(), {})
    await proxy.go_away()
    began = time.monotonic()

    for call in (store.append(lamps(5)[1:], {}), store.load({LAMP: 0}), store.last_position(), store.ping()):
        with pytest.raises(StoreUnavailable):
            await call
    assert time.monotonic() - began < BOUND_SECONDS

    await proxy.come_back()
    assert len(await again(store, lamps(5)[1:])) == 1


async def test_a_server_that_hangs_is_said_to_be_within_a_bound(proxy: FlakyProxy, store: PostgresEventStore) -> None:
    await store.append(lamps(), {})
    proxy.freeze()
    began = time.monotonic()

    with pytest.raises(StoreUnavailable):
        await store.append(lamps(5)[1:], {})
    assert time.monotonic() - began < BOUND_SECONDS

    # What was on its way may arrive now, or never; either way it is there at most once, and all goes on.
    proxy.thaw()
    next_version = len(await eventually_history(store)) + 1
    assert next_version in (2, 3)


async def test_an_append_that_waits_too_long_is_given_up_by_the_server_and_was_not_made(
    database_url: str, store: PostgresEventStore, other: PostgresEventStore
) -> None:
    await store.append(lamps(), {})
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE log.stored_events IN SHARE MODE")
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as given_up:
                await store.append(lamps(5)[1:], {})
            assert type(given_up.value) is StoreUnavailable  # and nothing that may have been done
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        assert holder.execute(waiting).fetchone() == (0,)
    assert [recorded.event for recorded in await other.history(LAMP)] == lamps()


async def test_what_was_read_is_compared_with_what_is_there_now_whatever_the_database_has_for_isolation(
    database_url: str, other: PostgresEventStore
) -> None:
    await other.append(lamps(), {})
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET default_transaction_isolation = 'repeatable read'")
    store = PostgresEventStore(database_url)
    try:
        await store.append(chairs(1), {})  # its session is there
        with psycopg.connect(database_url) as holder:
            holder.execute("LOCK TABLE log.stored_events IN EXCLUSIVE MODE")
            waiting = asyncio.create_task(store.append(chairs(1, 2)[2:], {}, {LAMP: 1}))
            await until_one_waits(database_url)
            holder.execute(
                "INSERT INTO log.stored_events (originator_id, originator_version, topic, state) "
                "SELECT originator_id, 2, topic, state FROM log.stored_events WHERE originator_id = %s",
                (LAMP,),
            )
        with pytest.raises(VersionConflict):
            await waiting
    finally:
        store.close()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER ROLE CURRENT_USER RESET default_transaction_isolation")


async def test_every_connection_is_made_as_the_address_says(database_url: str) -> None:
    # Given a server without TLS, and an address that asks for it
    store = PostgresEventStore(psycopg.conninfo.make_conninfo(database_url, sslmode="require"))
    try:
        for call in (store.ping(), store.check({LAMP: 0}), store.history(LAMP), store.append(lamps(), {})):
            with pytest.raises(StoreUnavailable):
                await call
    finally:
        store.close()


async def test_a_server_that_was_never_there(store: PostgresEventStore, proxy: FlakyProxy) -> None:
    await proxy.go_away()
    with pytest.raises(StoreUnavailable):
        await store.last_position()


def chairs(*quantities: int) -> list[AnyEvent]:
    item = StockItem.open("chair", "north", cause())
    for quantity in quantities:
        item.receive(quantity, cause())
    return item.collect_events()


async def until_one_waits(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:

        async def waiting() -> object:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return await (await connection.execute(query)).fetchone()

        await eventually(waiting, lambda count: count == (1,))


def end_all_connections(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def again(store: PostgresEventStore, events: list[AnyEvent]) -> list[int]:
    """Until the pool has a connection again."""
    until = time.monotonic() + BOUND_SECONDS
    while True:
        try:
            return list(await store.append(events, {}))
        except StoreUnavailable:
            assert time.monotonic() < until


async def eventually_history(store: PostgresEventStore) -> list[object]:
    until = time.monotonic() + BOUND_SECONDS
    while True:
        try:
            return list(await store.history(LAMP))
        except StoreUnavailable:
            assert time.monotonic() < until
