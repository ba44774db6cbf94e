"""One item that everybody wants, through two command processes at once: exactly as many are sold as there are."""

from __future__ import annotations

import pytest

from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import StockItem
from domain.events.stock import StockReserved
from domain.identity import stock_stream
from tests.integration.write_path.shelf_commands import WAREHOUSE, ShelfCommand
from tests.integration.write_path.two_processes import two_writing_processes

UNITS, SHOPPERS_COUNT = 150, 400
WAVES_COUNT = 4


@pytest.mark.timeout(120)
async def test_exactly_as_many_are_sold_as_there_are(database_url: str) -> None:
    wanted = [ShelfCommand("reserve", "hot", 1, f"r{n}", f"shopper-{n}") for n in range(SHOPPERS_COUNT)]
    told: dict[str, str | None] = {}
    with two_writing_processes(database_url) as processes:
        processes[0].send(
            [ShelfCommand("add", "hot", 100, "", "add"), ShelfCommand("receive", "hot", UNITS, "", "receive")]
        )
        assert [one.refusal for one in processes[0].answer().told] == [None, None]
        conflicts_count = 0
        for n in range(WAVES_COUNT):
            for number, process in enumerate(processes):
                process.send(wanted[2 * n + number :: 2 * WAVES_COUNT])
            answers = [process.answer() for process in processes]
            told |= {one.name: one.refusal for answer in answers for one in answer.told}
            conflicts_count = sum(answer.conflicts_count for answer in answers)

    assert len(told) == SHOPPERS_COUNT
    sold = {name for name, refusal in told.items() if refusal is None}
    assert len(sold) == UNITS
    assert set(told.values()) == {None, "InsufficientStock"}
    assert conflicts_count > 0, "they never met"
    store = PostgresEventStore(database_url)
    history = [recorded.event for recorded in await store.history(stock_stream("hot", WAREHOUSE))]
    store.close()
    reserved = [event for event in history if isinstance(event, StockReserved)]
    assert [event.causation_id for event in reserved] == list(dict.fromkeys(event.causation_id for event in reserved))
    assert {event.causation_id for event in reserved} == sold
    item = StockItem.replay(history)
    assert (item.on_hand, item.reserved, item.available) == (UNITS, UNITS, 0)
