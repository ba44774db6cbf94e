"""After a conflict a process decides its batches in turns with others, for a while; and then no longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from commandside.event_store.postgres import PostgresEventStore
from commandside.event_store.turns import TURN_LOCK
from commandside.metrics import WriterMetrics
from commandside.writer import Writer
from tests.unit.commandside.decisions import on_hand, receive

TURNS_SECONDS = 4.0
PROMPT_SECONDS = 10.0
A_WHILE_SECONDS = 0.3


class Pair:
    """Two processes' writers on one database, of which the first has just lost a race."""

    def __init__(self, database_url: str) -> None:
        self.registry = CollectorRegistry()
        self.stores = [PostgresEventStore(database_url) for _ in range(2)]
        self.one = Writer(
            self.stores[0], metrics=WriterMetrics(self.registry), turns_after_conflict_seconds=TURNS_SECONDS
        )
        self.other = Writer(self.stores[1])

    async def start(self) -> None:
        for writer in (self.one, self.other):
            await writer.start()

    async def lose_a_race(self) -> None:
        await self.one.execute(receive("lamp", 1))
        await self.other.execute(receive("lamp", 1))
        assert (await self.one.execute(receive("lamp", 1))).result == 3

    async def stop(self) -> None:
        for writer, store in zip((self.one, self.other), self.stores, strict=True):
            await writer.stop()
            store.close()

    @property
    def conflicts_count(self) -> float | None:
        return self.registry.get_sample_value("counterfoil_writer_conflicts_total")


@pytest.fixture
async def pair(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    # Who waits for a turn in vain goes on without it: not while a test looks whether anybody waits.
    monkeypatch.setattr("commandside.event_store.turns.WAIT_TIMEOUT_SECONDS", 60)
    pair = Pair(database_url)
    await pair.start()
    yield pair
    await pair.stop()


@contextmanager
def turn_of_somebody_else(database_url: str) -> Iterator[None]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (TURN_LOCK,))
        yield


async def test_without_a_conflict_nobody_waits_for_a_turn(pair: Pair, database_url: str) -> None:
    with turn_of_somebody_else(database_url):
        assert (await asyncio.wait_for(pair.one.execute(receive("lamp", 1)), PROMPT_SECONDS)).result == 1
    assert pair.conflicts_count == 0


async def test_after_a_conflict_batches_wait_for_their_turn_and_gather(pair: Pair, database_url: str) -> None:
    await pair.lose_a_race()
    assert pair.conflicts_count == 1
    with turn_of_somebody_else(database_url):
        waiting = [asyncio.create_task(pair.one.execute(receive("lamp", 1))) for _ in range(20)]
        done, _ = await asyncio.wait(waiting, timeout=A_WHILE_SECONDS)
        assert not done
        # What is not in turns is not held up by it.
        await asyncio.wait_for(pair.other.execute(receive("chair", 1)), PROMPT_SECONDS)
    answers = await asyncio.wait_for(asyncio.gather(*waiting), PROMPT_SECONDS)
    assert [answer.result for answer in answers] == list(range(4, 24))
    assert pair.conflicts_count == 1
    assert pair.registry.get_sample_value("counterfoil_writer_batch_commands_bucket", {"le": "16.0"}) == 2


async def test_in_turns_memory_is_not_trusted_and_so_nothing_conflicts(pair: Pair) -> None:
    await pair.lose_a_race()
    await pair.other.execute(receive("lamp", 10))
    assert (await pair.one.execute(on_hand("lamp"))).result == 13
    assert (await pair.one.execute(receive("lamp", 1))).result == 14
    assert pair.conflicts_count == 1


async def test_turns_end(pair: Pair, database_url: str) -> None:
    await pair.lose_a_race()
    ended_at = time.monotonic() + TURNS_SECONDS
    with turn_of_somebody_else(database_url):
        held_up = asyncio.create_task(pair.one.execute(receive("lamp", 1)))
        done, _ = await asyncio.wait([held_up], timeout=A_WHILE_SECONDS)
        assert not done
    await asyncio.wait_for(held_up, PROMPT_SECONDS)
    await asyncio.sleep(max(0.0, ended_at - time.monotonic()))
    with turn_of_somebody_else(database_url):
        assert (await asyncio.wait_for(pair.one.execute(receive("lamp", 1)), PROMPT_SECONDS)).result == 5
    assert pair.conflicts_count == 1


async def test_without_a_turn_that_comes_in_time_it_is_decided_all_the_same(
    pair: Pair, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commandside.event_store.turns.WAIT_TIMEOUT_SECONDS", 1)
    await pair.lose_a_race()
    with turn_of_somebody_else(database_url):
        assert (await asyncio.wait_for(pair.one.execute(receive("lamp", 100)), PROMPT_SECONDS)).result == 103
    assert (await pair.one.execute(on_hand("lamp"))).result == 103
