"""One loop decides, one append per batch. Commands that are handed over together are one batch."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from commandside.aggregates import Aggregates
from commandside.writer import Busy, Committed, Writer
from domain.aggregates import Checkout, StockItem
from domain.errors import InsufficientStock, NotFound
from domain.events.stock import StockOpened, StockReceived, StockReserved
from domain.identity import stock_stream
from tests.strategies import cause
from tests.unit.commandside.decisions import on_hand, poison, receive, reserve, stock_at, stored
from tests.unit.commandside.scripted_store import ScriptedStore
from tests.unit.commandside.together import together

LAMP = stock_stream("lamp", "north")


async def test_nothing_is_answered_before_it_is_durable(store: ScriptedStore, writer: Writer) -> None:
    store.hold_up()
    command = asyncio.create_task(writer.execute(receive("lamp", 5)))
    await store.until_appending()

    assert not command.done()
    assert await store.last_position() == 0

    store.let_go()
    assert await command == Committed(5, 2)
    assert await store.last_position() == 2


async def test_commands_that_wait_together_are_one_append(store: ScriptedStore, writer: Writer) -> None:
    assert await together(writer, *[receive("lamp", 1)] * 20) == list(range(1, 21))
    assert [len(events) for events in store.appends] == [21]


async def test_while_one_batch_commits_the_next_one_gathers(store: ScriptedStore, writer: Writer) -> None:
    store.hold_up()
    first = asyncio.create_task(writer.execute(receive("lamp", 5)))
    await store.until_appending()
    more = [asyncio.create_task(writer.execute(reserve("lamp", f"r{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    assert writer.waiting_commands_count == 3

    store.let_go()
    await asyncio.gather(first, *more)
    assert [len(events) for events in store.appends] == [2, 3]


async def test_a_batch_has_a_limit(store: ScriptedStore) -> None:
    writer = Writer(store, batch_limit_commands=4)
    await writer.start()
    await together(writer, *[receive("lamp", 1)] * 10)
    await writer.stop()
    assert [len(events) for events in store.appends] == [5, 4, 2]


async def test_a_refused_command_costs_its_batch_nothing(store: ScriptedStore, writer: Writer) -> None:
    outcomes = await together(writer, receive("lamp", 5), reserve("lamp", "r1", 6), reserve("lamp", "r2", 5))

    assert outcomes[0] == 5
    assert isinstance(outcomes[1], InsufficientStock)
    assert outcomes[1].figures["available"] == 5
    assert outcomes[2] == 0
    assert [[type(event) for event in events] for events in store.appends] == [
        [StockOpened, StockReceived, StockReserved]
    ]


async def test_a_batch_of_refusals_appends_nothing(store: ScriptedStore, writer: Writer) -> None:
    await together(writer, reserve("lamp", "r1"), reserve("lamp", "r2"))
    assert store.appends == []


async def test_a_fault_after_something_was_triggered_fails_alone(store: ScriptedStore, writer: Writer) -> None:
    outcomes = await together(writer, poison("lamp"), receive("chair", 2))

    assert isinstance(outcomes[0], ZeroDivisionError)
    assert outcomes[1] == 2
    assert await writer.execute(on_hand("lamp")) == Committed(0, 2)
    assert await store.history(LAMP) == []


@pytest.mark.parametrize("existing", [0, 3], ids=["new", "stored"])
async def test_a_fault_leaves_what_the_batch_did_before_it(store: ScriptedStore, writer: Writer, existing: int) -> None:
    if existing:
        await writer.execute(receive("lamp", existing))

    outcomes = await together(writer, receive("lamp", 5), poison("lamp"))

    assert outcomes[0] == existing + 5
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert (await stored(store, "lamp")).on_hand == existing + 5
    assert (await writer.execute(on_hand("lamp"))).result == existing + 5


async def test_a_fault_leaves_no_trace_for_what_the_batch_does_after_it(store: ScriptedStore, writer: Writer) -> None:
    outcomes = await together(
        writer, receive("lamp", 5), poison("lamp"), reserve("lamp", "r1", 5), poison("lamp"), reserve("lamp", "r2", 1)
    )

    assert outcomes[2] == 0
    assert isinstance(outcomes[4], InsufficientStock)
    assert (await stored(store, "lamp")).on_hand == 5
    assert len(store.appends) == 1


async def test_another_process_that_comes_between_a_fault_and_its_mending_wins(
    store: ScriptedStore, writer: Writer
) -> None:
    def elsewhere() -> list[Any]:
        return [*StockItem.open("lamp", "north", cause(actor="operator:bo")).collect_events()]

    await writer.execute(receive("chair", 1))
    store.loads.clear()
    # The first load of the batch finds no lamp; the second, after the fault, finds that somebody else has opened it.
    store.before_loads += [list, elsewhere]

    outcomes = await together(writer, receive("lamp", 5), poison("lamp"), reserve("lamp", "r1", 2))

    assert outcomes[0] == 5
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert outcomes[2] == 3
    assert (await stored(store, "lamp")).on_hand == 5


async def test_something_put_where_nobody_looked_first_fails_alone(store: ScriptedStore, writer: Writer) -> None:
    def put_blindly(aggregates: Aggregates) -> None:
        aggregates.add(StockItem.open("lamp", "north", cause()))

    outcomes = await together(writer, put_blindly, receive("chair", 1))

    assert isinstance(outcomes[0], LookupError)
    assert outcomes[1] == 1


async def test_a_stream_of_another_kind_fails_alone(store: ScriptedStore, writer: Writer) -> None:
    await writer.execute(receive("lamp", 1))

    outcomes = await together(writer, lambda aggregates: aggregates.find(Checkout, LAMP), receive("lamp", 1))

    assert isinstance(outcomes[0], NotFound)
    assert outcomes[1] == 2


async def test_positions_ascend_and_are_their_commands_own(store: ScriptedStore, writer: Writer) -> None:
    committed = await asyncio.gather(
        writer.execute(receive("lamp", 5)),
        writer.execute(receive("chair", 7)),
        writer.execute(on_hand("lamp")),
        writer.execute(reserve("lamp", "r1")),
    )

    assert [one.position for one in committed] == [2, 4, 5, 5]
    recorded = {recorded.position: recorded.event for recorded in store.log()}
    assert (recorded[2].originator_id, recorded[2].originator_version) == (LAMP, 2)
    assert recorded[4].originator_id == stock_stream("chair", "north")
    assert isinstance(recorded[5], StockReserved)
    assert await writer.execute(on_hand("lamp")) == Committed(5, 5)


async def test_the_position_of_a_look_is_the_last_one_before_the_writer_started(store: ScriptedStore) -> None:
    await store.append(StockItem.open("lamp", "north", cause()).collect_events(), {})
    writer = Writer(store)
    await writer.start()
    assert await writer.execute(on_hand("lamp")) == Committed(0, 1)
    await writer.stop()


async def test_streams_known_only_after_others_are_loaded_in_rounds(store: ScriptedStore, writer: Writer) -> None:
    for sku in ("a", "b", "c"):
        await writer.execute(receive(sku, 1))
    store.loads.clear()

    def walk(aggregates: Aggregates) -> int:
        total = 0
        for sku in ("a", "b", "c"):
            item = aggregates.find(StockItem, stock_stream(sku, "north"))
            assert item is not None
            total += item.on_hand
        return total

    def ask_at_once(aggregates: Aggregates) -> int:
        aggregates.load([stock_stream(sku, "north") for sku in ("a", "b", "c")])
        return walk(aggregates)

    for decision, rounds_count in ((walk, 3), (ask_at_once, 1)):
        started_anew = Writer(store)  # with nothing in memory
        await started_anew.start()
        store.loads.clear()
        assert (await started_anew.execute(decision)).result == 3
        await started_anew.stop()
        assert len(store.loads) == rounds_count


async def test_a_decision_that_triggers_between_its_questions_is_made_whole(
    store: ScriptedStore, writer: Writer
) -> None:
    def move(aggregates: Aggregates) -> int:
        stock_at(aggregates, "lamp").receive(1, cause())
        stock_at(aggregates, "chair").receive(1, cause())
        return stock_at(aggregates, "lamp").on_hand

    assert await together(writer, move, move) == [1, 2]
    assert (await stored(store, "chair")).on_hand == 2
    assert [len(events) for events in store.appends] == [6]


async def test_a_stream_is_in_order_though_a_later_command_is_decided_earlier(
    store: ScriptedStore, writer: Writer
) -> None:
    await together(writer, receive("lamp", 5), receive("chair", 1))
    started_anew = Writer(store)  # with nothing in memory
    await started_anew.start()

    def slow(aggregates: Aggregates) -> int:
        item = stock_at(aggregates, "lamp")
        item.receive(stock_at(aggregates, "chair").on_hand, cause())  # the chair is asked for a round later
        return item.on_hand

    committed = await asyncio.gather(started_anew.execute(slow), started_anew.execute(receive("lamp", 10)))
    await started_anew.stop()

    assert [one.result for one in committed] == [16, 15]
    history = await store.history(LAMP)
    assert [recorded.event.originator_version for recorded in history] == [1, 2, 3, 4]
    assert [one.position for one in committed] == [history[3].position, history[2].position]


async def test_a_decision_that_never_stops_asking_fails_alone(store: ScriptedStore, writer: Writer) -> None:
    asked = iter(range(1_000))

    def insatiable(aggregates: Aggregates) -> None:
        aggregates.find(StockItem, UUID(int=next(asked)))

    outcomes = await together(writer, insatiable, receive("lamp", 1))

    assert isinstance(outcomes[0], RuntimeError)
    assert outcomes[1] == 1
    assert next(asked) == 8


async def test_when_the_queue_is_full_one_is_told_so_at_once(store: ScriptedStore) -> None:
    writer = Writer(store, queue_limit_commands=2)
    await writer.start()
    store.hold_up()
    first = asyncio.create_task(writer.execute(receive("lamp", 1)))
    await store.until_appending()
    waiting = [asyncio.create_task(writer.execute(receive("lamp", 1))) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Busy):
        await writer.execute(receive("lamp", 100))

    store.let_go()
    assert [one.result for one in await asyncio.gather(first, *waiting)] == [1, 2, 3]
    await writer.stop()
    assert (await stored(store, "lamp")).on_hand == 3


async def test_a_client_that_went_away_keeps_nobody_else_from_an_answer(store: ScriptedStore, writer: Writer) -> None:
    store.hold_up()
    gone, stays = [asyncio.create_task(writer.execute(receive("lamp", 1))) for _ in range(2)]
    await store.until_appending()
    gone.cancel()
    await asyncio.wait([gone], timeout=5)

    store.let_go()
    assert (await stays).result == 2
    assert (await writer.execute(on_hand("lamp"))).result == 2
    assert writer.alive


async def test_stopping_sees_an_append_to_its_end_and_refuses_the_rest(store: ScriptedStore) -> None:
    writer = Writer(store)
    await writer.start()
    store.hold_up()
    first = asyncio.create_task(writer.execute(receive("lamp", 1)))
    await store.until_appending()
    waiting = asyncio.create_task(writer.execute(receive("lamp", 100)))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(writer.stop())
    await asyncio.sleep(0)
    assert not stopping.done()

    store.let_go()
    await stopping

    assert await first == Committed(1, 2)
    with pytest.raises(Busy):
        await waiting
    assert not writer.alive
    with pytest.raises(Busy):
        await asyncio.wait_for(writer.execute(receive("lamp", 1)), 5)
    assert (await stored(store, "lamp")).on_hand == 1


async def test_the_least_recently_used_aggregate_is_let_go_first(store: ScriptedStore) -> None:
    writer = Writer(store, cache_limit_aggregates=2)
    await writer.start()
    for sku in ("a", "b", "a", "c"):
        await writer.execute(receive(sku, 1))
    store.loads.clear()

    for sku in ("a", "c", "b"):
        await writer.execute(on_hand(sku))
    await writer.stop()

    assert store.loads == [{stock_stream("b", "north"): 0}], "let go, and made anew from the beginning"
