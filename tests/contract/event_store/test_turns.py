"""Turns among processes: one at a time, given back whatever becomes of its holder, and never waited for without end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from commandside.event_store import EventStore, StoreUnavailable
from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import StockItem
from tests.fixtures.flaky_proxy import FlakyProxy
from tests.rules.sources import PROJECT
from tests.strategies import cause

PATIENCE_SECONDS = 60.0
PROMPT_SECONDS = 10.0
Stores = tuple[EventStore, EventStore]


async def test_a_turn_is_one_processes_at_a_time(stores: Stores) -> None:
    inside = 0
    most = 0
    taken: list[int] = []

    async def take_turns(number: int) -> None:
        nonlocal inside, most
        for _ in range(10):
            async with stores[number].turn():
                inside += 1
                most = max(most, inside)
                taken.append(number)
                await stores[number].last_position()  # a round trip, in which the other could come in
                inside -= 1

    for store in stores:  # once, so that both are connected
        async with store.turn():
            pass
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(take_turns(0), take_turns(1))

    assert most == 1
    assert taken.count(0) == taken.count(1) == 10
    assert taken != sorted(taken), "the one who waits comes before the one who comes again"


async def test_who_waits_goes_on_when_the_turn_is_left(stores: Stores) -> None:
    one, other = stores
    order: list[str] = []

    async def second() -> None:
        async with other.turn():
            order.append("second")

    async with one.turn():
        waiting = asyncio.create_task(second())
        await one.last_position()
        order.append("first")
    await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    assert order == ["first", "second"]


async def test_a_turn_that_fails_is_left(stores: Stores) -> None:
    one, other = stores
    with pytest.raises(ZeroDivisionError):
        async with one.turn():
            raise ZeroDivisionError
    async with asyncio.timeout(PROMPT_SECONDS), other.turn():
        pass


async def test_it_keeps_nobody_from_appending(stores: Stores) -> None:
    one, other = stores
    async with one.turn():
        positions = await asyncio.wait_for(
            other.append(StockItem.open("lamp", "north", cause()).collect_events(), {}), PROMPT_SECONDS
        )
    assert len(positions) == 1


async def test_the_wait_for_a_turn_ends(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commandside.event_store.turns.WAIT_TIMEOUT_SECONDS", 1)
    one, other = stores
    async with one.turn():
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            async with other.turn():
                raise AssertionError("two at once")
        assert 0.9 < time.monotonic() - began < PROMPT_SECONDS + 1
    async with asyncio.timeout(PROMPT_SECONDS), other.turn():
        pass


@asynccontextmanager
async def held_by_another_process(database_url: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.event_store.turn_holder",
        env={**os.environ, "DATABASE_URL": database_url}, cwd=PROJECT, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS) == b"mine\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_holder_that_is_killed_holds_up_nobody(database_url: str) -> None:
    store = PostgresEventStore(database_url)
    async with held_by_another_process(database_url) as holder:

        async def take() -> None:
            async with store.turn():
                pass

        waiting = asyncio.create_task(take())
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done, "the other process holds it"
        holder.kill()
        await asyncio.wait_for(waiting, PROMPT_SECONDS)
    store.close()


async def test_a_turn_that_comes_when_nobody_waits_for_it_any_more_is_given_back(database_url: str) -> None:
    """The server hangs for longer than anybody waits; then the answer, the lock, arrives after all."""
    async with FlakyProxy(database_url) as proxy:
        hung = PostgresEventStore(proxy.url, answer_timeout_seconds=3.0)
        other = PostgresEventStore(database_url)
        async with hung.turn():
            pass
        proxy.freeze()
        with pytest.raises(StoreUnavailable):
            async with hung.turn():
                raise AssertionError("it cannot have come through")
        proxy.thaw()

        async with asyncio.timeout(PROMPT_SECONDS), other.turn():
            pass
        await asyncio.wait_for(asyncio.to_thread(hung.close), PATIENCE_SECONDS)
        other.close()


async def test_a_turn_after_the_server_ended_the_connection_comes_all_the_same(database_url: str) -> None:
    async with FlakyProxy(database_url) as proxy:
        store = PostgresEventStore(proxy.url)
        async with store.turn():
            pass
        await proxy.go_away()
        await proxy.come_back()
        async with asyncio.timeout(PATIENCE_SECONDS), store.turn():
            pass
        await asyncio.wait_for(asyncio.to_thread(store.close), PATIENCE_SECONDS)
