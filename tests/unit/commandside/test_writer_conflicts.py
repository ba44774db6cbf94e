"""When other processes write the same streams: everybody's decision is taken on what is stored, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from commandside.writer import Contended, Writer
from domain.errors import InsufficientStock
from domain.identity import stock_stream
from tests.unit.commandside.decisions import on_hand, receive, received_elsewhere, reserve, stored
from tests.unit.commandside.scripted_store import ScriptedStore

LAMP = stock_stream("lamp", "north")


@pytest.fixture
async def writers(store: ScriptedStore) -> AsyncIterator[tuple[Writer, Writer]]:
    """Two processes' writers on one store."""
    pair = (Writer(store), Writer(store))
    for writer in pair:
        await writer.start()
    yield pair
    for writer in pair:
        await writer.stop()


async def test_who_comes_second_decides_again(store: ScriptedStore, writer: Writer) -> None:
    await writer.execute(receive("lamp", 5))
    store.before_appends.append(partial(received_elsewhere, store, "lamp", 7))

    committed = await writer.execute(receive("lamp", 1))

    assert committed.result == 13
    assert (await stored(store, "lamp")).on_hand == 13
    assert committed.position == await store.last_position()


async def test_a_stream_that_both_begin_is_begun_once(store: ScriptedStore, writer: Writer) -> None:
    store.before_appends.append(partial(received_elsewhere, store, "lamp", 7))
    assert (await writer.execute(receive("lamp", 1))).result == 8
    assert len(await store.history(LAMP)) == 3


async def test_what_was_legal_may_be_refused_the_second_time(
    store: ScriptedStore, writers: tuple[Writer, Writer]
) -> None:
    first, second = writers
    await first.execute(receive("lamp", 1))

    outcomes = await asyncio.gather(
        first.execute(reserve("lamp", "r1")), second.execute(reserve("lamp", "r2")), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes].count(InsufficientStock) == 1
    assert list((await stored(store, "lamp")).reservations) in (["r1"], ["r2"])


async def test_the_whole_batch_is_decided_again_and_appended_once(store: ScriptedStore, writer: Writer) -> None:
    store.before_appends.append(partial(received_elsewhere, store, "lamp", 7))

    results = await asyncio.gather(*[writer.execute(receive(sku, 1)) for sku in ("chair", "lamp", "chair")])

    assert [one.result for one in results] == [1, 8, 2]
    assert (await stored(store, "chair")).on_hand == 2


async def test_a_race_lost_every_time_is_given_up(store: ScriptedStore) -> None:
    writer = Writer(store, conflict_attempts_limit_count=3)
    await writer.start()
    store.before_appends += [partial(received_elsewhere, store, "lamp", 7)] * 3

    with pytest.raises(Contended):
        await writer.execute(receive("lamp", 1))

    assert len(store.appends) == 3
    assert (await stored(store, "lamp")).on_hand == 21
    assert (await writer.execute(receive("lamp", 1))).result == 22
    await writer.stop()


async def test_what_is_in_memory_is_never_trusted_for_a_refusal(
    store: ScriptedStore, writers: tuple[Writer, Writer]
) -> None:
    first, second = writers
    await first.execute(receive("lamp", 1))
    await first.execute(reserve("lamp", "r1", 1))
    await second.execute(receive("lamp", 5))
    appends_count = len(store.appends)

    assert (await first.execute(reserve("lamp", "r2", 5))).result == 0
    assert len(store.appends) == appends_count + 1, "known at once, and not by a conflict"
    assert (await second.execute(on_hand("lamp"))).result == 6


async def test_two_writers_at_full_speed_lose_nothing(store: ScriptedStore, writers: tuple[Writer, Writer]) -> None:
    await asyncio.gather(*[writers[n % 2].execute(receive("lamp", 1)) for n in range(80)])
    item = await stored(store, "lamp")
    assert (item.on_hand, item.version) == (80, 81)
