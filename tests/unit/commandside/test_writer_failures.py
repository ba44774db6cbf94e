"""When the store is away: everybody is told, and what is stored decides from then on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from math import inf

import pytest

from commandside.aggregates import Aggregates
from commandside.event_store import StoreUnavailable
from commandside.writer import Committed, Writer
from domain.aggregates import StockItem
from domain.events.stock import StockOpened
from domain.identity import stock_stream
from tests.strategies import cause
from tests.unit.commandside.decisions import on_hand, receive, reserve, stored
from tests.unit.commandside.scripted_store import ScriptedStore
from tests.unit.commandside.together import together


@pytest.mark.parametrize("lost", [False, True], ids=["not stored", "stored, answer lost"])
async def test_a_store_that_is_away_leaves_no_advanced_aggregate(
    store: ScriptedStore, writer: Writer, lost: bool
) -> None:
    await writer.execute(receive("lamp", 5))
    (store.lost_answers if lost else store.append_failures).append(StoreUnavailable("away"))

    outcomes = await together(writer, reserve("lamp", "r1", 4), receive("chair", 1))

    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    # What is stored decides from here on, whichever it is.
    left = (await stored(store, "lamp")).available
    assert left == (1 if lost else 5)
    assert (await writer.execute(reserve("lamp", "r2", left))).result == 0


async def test_a_store_that_cannot_be_read_is_said_to_all_who_waited(store: ScriptedStore, writer: Writer) -> None:
    store.load_failures.append(StoreUnavailable("away"))
    outcomes = await together(writer, receive("lamp", 1), receive("chair", 1))
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert writer.alive
    assert await together(writer, receive("lamp", 1)) == [1]


async def test_a_writer_does_not_start_without_its_store(monkeypatch: pytest.MonkeyPatch, store: ScriptedStore) -> None:
    async def away() -> int:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "last_position", away)
    writer = Writer(store)
    with pytest.raises(StoreUnavailable):
        await writer.start()
    assert not writer.alive


async def test_the_cache_is_bounded_while_appends_keep_failing(store: ScriptedStore) -> None:
    writer = Writer(store, cache_limit_aggregates=2)
    await writer.start()
    skus = [f"sku-{n}" for n in range(6)]
    for sku in skus:
        await writer.execute(receive(sku, 1))
    for sku in skus:
        store.append_failures.append(StoreUnavailable("disk full"))
        await together(writer, on_hand(sku), receive("other", 1))
    store.loads.clear()

    await together(writer, *map(on_hand, skus))
    await writer.stop()

    (known,) = store.loads
    assert sum(version > 0 for version in known.values()) <= 2


class WithoutTurns(ScriptedStore):
    """No turn is ever to be had, or to be left."""

    def __init__(self, fails: str) -> None:
        super().__init__()
        self.fails = fails

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if self.fails == "taken":
            raise StoreUnavailable("the turn did not come in time")
        yield
        raise StoreUnavailable("the turn could not be left")


@pytest.mark.parametrize("fails", ["taken", "left"])
async def test_without_a_turn_what_is_answered_is_what_happened(fails: str) -> None:
    store = WithoutTurns(fails)
    writer = Writer(store, batch_limit_events=1)
    writer._turns_until = inf
    await writer.start()
    try:
        skus = [f"lamp-{number}" for number in range(5)]
        opened = await asyncio.gather(
            *(writer.execute(partial(_open, sku=sku)) for sku in skus), return_exceptions=True
        )
    finally:
        await writer.stop()
    stored = {recorded.event.sku for recorded in store.log() if isinstance(recorded.event, StockOpened)}
    assert stored == {sku for sku, answer in zip(skus, opened, strict=True) if isinstance(answer, Committed)}
    assert stored == set(skus)


def _open(aggregates: Aggregates, sku: str) -> None:
    aggregates.load([stock_stream(sku, "north")])
    aggregates.add(StockItem.open(sku, "north", cause()))
