"""While one batch is committed the next is decided on top of it: as good as its own append, and no better."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from commandside.event_store import StoreUnavailable
from commandside.overlap import Overlap
from commandside.writer import Committed, Decision, Writer
from domain.aggregates import StockItem
from domain.errors import InsufficientStock
from domain.events.stock import StockAdjusted
from domain.identity import stock_stream
from tests.strategies import cause
from tests.unit.commandside.decisions import on_hand, poison, receive, reserve, stored
from tests.unit.commandside.scripted_store import ScriptedStore

LAMP = stock_stream("lamp", "north")
AWAY = StoreUnavailable("away")


async def in_the_air(store: ScriptedStore, writer: Writer, decision: Decision[Any]) -> asyncio.Task[Committed[Any]]:
    """The decision's append is under way, and waits to be let go."""
    store.hold_up()
    command = asyncio.create_task(writer.execute(decision))
    await store.until_appending()
    return command


async def on_top(writer: Writer, *decisions: Decision[Any]) -> list[asyncio.Task[Committed[Any]]]:
    """Decided while something is in the air, and not yet answered."""
    commands = [asyncio.create_task(writer.execute(decision)) for decision in decisions]
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(command.done() for command in commands)
    return commands


async def outcomes(commands: Sequence[asyncio.Task[Committed[Any]]]) -> list[Any]:
    answers = await asyncio.wait_for(asyncio.gather(*commands, return_exceptions=True), 5)
    return [answer.result if isinstance(answer, Committed) else answer for answer in answers]


@pytest.fixture
async def five_lamps(writer: Writer) -> None:
    await writer.execute(receive("lamp", 5))


@pytest.mark.usefixtures("five_lamps")
async def test_it_is_decided_before_the_one_before_is_durable_and_answered_after(
    store: ScriptedStore, writer: Writer
) -> None:
    decided = asyncio.Event()

    def reserve_all(aggregates: Any) -> Any:
        decided.set()
        return reserve("lamp", "r2", 2)(aggregates)

    first = await in_the_air(store, writer, reserve("lamp", "r1", 3))
    (second,) = await on_top(writer, reserve_all)
    assert decided.is_set()

    store.let_go()
    assert await outcomes([first, second]) == [2, 0]
    assert [len(events) for events in store.appends] == [2, 1, 1]


@pytest.mark.usefixtures("five_lamps")
async def test_a_refusal_for_the_sake_of_what_is_in_the_air_waits_for_it(store: ScriptedStore, writer: Writer) -> None:
    first = await in_the_air(store, writer, reserve("lamp", "r1", 5))
    (refused, look) = await on_top(writer, reserve("lamp", "r2", 1), on_hand("lamp"))
    store.let_go()
    answers = await outcomes([first, refused, look])
    assert isinstance(answers[1], InsufficientStock)
    assert (answers[0], answers[2]) == (0, 5)


@pytest.mark.usefixtures("five_lamps")
async def test_when_the_one_before_came_to_nothing_it_is_decided_again(store: ScriptedStore, writer: Writer) -> None:
    store.append_failures.append(AWAY)
    first = await in_the_air(store, writer, reserve("lamp", "r1", 5))
    commands = await on_top(writer, reserve("lamp", "r2", 1), reserve("lamp", "r3", 4))
    store.let_go()
    assert await outcomes([first, *commands]) == [AWAY, 4, 0]
    assert (await stored(store, "lamp")).available == 0


@pytest.mark.usefixtures("five_lamps")
async def test_of_a_decision_made_again_nothing_is_left_in_memory(store: ScriptedStore, writer: Writer) -> None:
    store.append_failures.append(AWAY)
    first = await in_the_air(store, writer, receive("chair", 1))
    commands = await on_top(writer, reserve("lamp", "r1", 2))
    store.let_go()
    assert await outcomes([first, *commands]) == [AWAY, 3]
    versions = [recorded.event.originator_version for recorded in await store.history(LAMP)]
    assert versions == [1, 2, 3]


@pytest.mark.usefixtures("five_lamps")
async def test_when_the_answer_of_the_one_before_was_lost_what_is_stored_decides(
    store: ScriptedStore, writer: Writer
) -> None:
    store.lost_answers.append(AWAY)
    first = await in_the_air(store, writer, reserve("lamp", "r1", 5))
    commands = await on_top(writer, reserve("lamp", "r2", 1))
    store.let_go()
    answers = await outcomes([first, *commands])
    assert answers[0] is AWAY
    assert isinstance(answers[1], InsufficientStock)


@pytest.mark.usefixtures("five_lamps")
async def test_when_another_process_came_first_both_are_decided_again(store: ScriptedStore, writer: Writer) -> None:
    def elsewhere() -> list[Any]:
        item = StockItem.replay([recorded.event for recorded in store.log() if recorded.event.originator_id == LAMP])
        item.adjust(-2, "broken", cause())
        return list(item.collect_events())

    store.before_appends.append(elsewhere)
    first = await in_the_air(store, writer, reserve("lamp", "r1", 3))
    commands = await on_top(writer, reserve("lamp", "r2", 2))
    store.let_go()
    answers = await outcomes([first, *commands])
    assert answers[0] == 0
    assert isinstance(answers[1], InsufficientStock)
    assert [type(each.event) for each in store.log()].count(StockAdjusted) == 1


@pytest.mark.parametrize("fails", [False, True], ids=["lands", "comes to nothing"])
@pytest.mark.usefixtures("five_lamps")
async def test_a_fault_on_top_of_what_is_in_the_air_leaves_that_alone(
    store: ScriptedStore, writer: Writer, fails: bool
) -> None:
    if fails:
        store.append_failures.append(AWAY)
    first = await in_the_air(store, writer, reserve("lamp", "r1", 3))
    commands = await on_top(writer, reserve("lamp", "r2", 1), poison("lamp"), reserve("lamp", "r3", 1))
    store.let_go()
    answers = await outcomes([first, *commands])
    assert isinstance(answers[2], ZeroDivisionError)
    assert [answers[0], answers[1], answers[3]] == ([AWAY, 4, 3] if fails else [2, 1, 0])
    assert (await stored(store, "lamp")).available == (3 if fails else 0)


@pytest.mark.usefixtures("five_lamps")
async def test_what_has_to_be_loaded_is_loaded_meanwhile(store: ScriptedStore, writer: Writer) -> None:
    first = await in_the_air(store, writer, reserve("lamp", "r1", 3))
    store.loads.clear()
    commands = await on_top(writer, receive("chair", 1))
    assert store.loads == [{stock_stream("chair", "north"): 0}]
    store.let_go()
    assert await outcomes([first, *commands]) == [2, 1]


@pytest.mark.usefixtures("five_lamps")
async def test_a_store_that_cannot_be_read_meanwhile_fails_what_needs_it(store: ScriptedStore, writer: Writer) -> None:
    first = await in_the_air(store, writer, reserve("lamp", "r1", 3))
    store.load_failures.append(AWAY)
    commands = await on_top(writer, receive("chair", 1))
    store.let_go()
    assert await outcomes([first, *commands]) == [2, AWAY]
    assert (await writer.execute(receive("chair", 1))).result == 1


async def test_a_snapshot_shows_nothing_that_is_not_stored(store: ScriptedStore) -> None:
    def away() -> list[Any]:
        raise AWAY

    writer = Writer(store, snapshot_interval_events=3)
    await writer.start()
    await writer.execute(receive("lamp", 5))
    store.before_appends += [list, away]
    first = await in_the_air(store, writer, receive("lamp", 1))  # the third event: a snapshot is due
    commands = await on_top(writer, receive("lamp", 10))
    store.let_go()
    assert await outcomes([first, *commands]) == [6, AWAY]
    await writer.stop()

    anew = Writer(store)
    await anew.start()
    assert (await anew.execute(on_hand("lamp"))).result == 6
    await anew.stop()


@pytest.mark.usefixtures("five_lamps")
async def test_a_stop_sees_to_the_end_what_is_in_the_air_and_none_of_what_is_on_top(
    store: ScriptedStore, writer: Writer
) -> None:
    first = await in_the_air(store, writer, reserve("lamp", "r1", 3))
    (second,) = await on_top(writer, reserve("lamp", "r2", 1))
    stopping = asyncio.create_task(writer.stop())
    await asyncio.sleep(0)
    store.let_go()
    await asyncio.wait_for(stopping, 5)
    answers = await outcomes([first, second])
    assert answers[0] == 2
    assert "stopped" in str(answers[1])
    assert (await stored(store, "lamp")).available == 2


class TestWhetherItPays:
    def overlap(self, commit_seconds: float) -> Overlap:
        overlap = Overlap()
        for _ in range(100):
            overlap.note(decide_seconds=0.001, commands_count=64, commit_seconds=commit_seconds)
        return overlap

    def test_where_an_append_takes_about_as_long_as_to_decide(self) -> None:
        assert self.overlap(0.001).pays(commands_count=64, part_count=32)

    def test_not_where_the_store_is_slow(self) -> None:
        assert not self.overlap(0.005).pays(commands_count=64, part_count=32)

    def test_not_for_a_few(self) -> None:
        assert not self.overlap(0.001).pays(commands_count=10, part_count=5)

    def test_not_before_anything_is_known(self) -> None:
        assert not Overlap().pays(commands_count=64, part_count=32)
