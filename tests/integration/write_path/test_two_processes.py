"""Two command processes on one database do together what one does with the same commands in some order.

The order is the log's. Every accepted command must have been answered as a plain model answers it there, and every
refusal must be right at some point of the log between the asking and the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commandside.event_store.mapper import EventMapper
from domain.aggregates import StockItem
from domain.events import Recorded
from tests.integration.write_path.shelf_commands import Shelf, ShelfCommand, Told
from tests.integration.write_path.two_processes import WritingProcess, two_writing_processes
from tests.integration.write_path.writing_process import Answer
from tests.strategies import cause

FIRST_PRICE = 100
SHELVES = ("lamp", "chair")
_MAPPER = EventMapper()
_runs = count(1)
Processes = tuple[WritingProcess, WritingProcess]

commands = st.builds(
    ShelfCommand,
    kind=st.sampled_from(
        ["reprice", "quote", "quote", "receive", "receive", "adjust", "reserve", "reserve", "release", "commit", "look"]
    ),
    sku=st.sampled_from(SHELVES),
    number=st.integers(1, 6),
    reservation_id=st.sampled_from(["r1", "r2"]),
)
waves = st.lists(
    st.tuples(st.lists(commands, min_size=1, max_size=8), st.lists(commands, min_size=1, max_size=8)),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def processes(module_database_url: str) -> Iterator[Processes]:
    with two_writing_processes(module_database_url) as processes:
        yield processes


@given(drawn=waves)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_interleaving_is_the_order_of_the_log(
    module_database_url: str, processes: Processes, drawn: list[tuple[list[ShelfCommand], list[ShelfCommand]]]
) -> None:
    run = next(_runs)  # on shelves of its own
    names = count(1)
    opening = [ShelfCommand("add", f"{sku}-{run}", FIRST_PRICE, "", f"{run}-0-{sku}") for sku in SHELVES]
    asked = [opening]
    answers = [together(processes, opening, [])[0]]
    for pair in drawn:
        first, second = (
            [replace(one, sku=f"{one.sku}-{run}", name=f"{run}-{next(names)}") for one in wave] for wave in pair
        )
        asked += [first, second]
        answers += together(processes, first, second)
    ensure_serial(log_of(module_database_url, answers[0].before), asked, answers)


def together(processes: Processes, first: Sequence[ShelfCommand], second: Sequence[ShelfCommand]) -> list[Answer]:
    for process, wave in zip(processes, (first, second), strict=True):
        process.send(wave)
    return [process.answer() for process in processes]


def log_of(database_url: str, after: int) -> list[Recorded]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT notification_id, originator_id, originator_version, topic, state FROM log.stored_events "
            "WHERE notification_id > %s ORDER BY notification_id",
            (after,),
        ).fetchall()
    return [Recorded(row[0], _MAPPER.to_domain_event(StoredEvent(*row[1:]))) for row in rows]


def ensure_serial(log: list[Recorded], asked: list[list[ShelfCommand]], answers: list[Answer]) -> None:
    """`answers` are those to the waves `asked`, in the same order."""
    by_name = {command.name: command for wave in asked for command in wave}
    told = {one.name: one for answer in answers for one in answer.told}
    assert told.keys() == by_name.keys()
    shelves = {command.sku: [(0, Shelf(FIRST_PRICE))] for command in asked[0]}
    caused = dict.fromkeys(recorded.event.causation_id for recorded in log)
    last = {recorded.event.causation_id: recorded.position for recorded in log}
    for name in caused:
        command = by_name[name]
        history = shelves[command.sku]
        shelf, expected = history[-1][1].after(command)
        assert told[name] == expected, f"{command} at {last[name]} of the log, on {history[-1][1]}"
        history.append((last[name], shelf))
    for answer in answers:
        for one in answer.told:
            if one.name not in caused:
                command = by_name[one.name]
                seen = during(shelves[command.sku], answer.before, answer.after)
                assert any(shelf.after(command) == (shelf, one) for shelf in seen), f"{one}, but on one of {seen}"


def during(history: list[tuple[int, Shelf]], before: int, after: int) -> list[Shelf]:
    """What a shelf was at some point between two positions, both included."""
    started = max(n for n, (position, _) in enumerate(history) if position <= before or n == 0)
    return [shelf for position, shelf in history[started:] if position <= after]


def test_what_no_order_can_explain_is_found() -> None:
    add = ShelfCommand("add", "lamp", FIRST_PRICE, "", "add")
    receive, reserve = ShelfCommand("receive", "lamp", 1, "", "receive"), ShelfCommand("reserve", "lamp", 1, "r1", "r")
    asked = [[add], [receive, reserve]]
    item = StockItem.open("lamp", "north", replace(cause(), causation_id="add"))
    item.receive(1, replace(cause(), causation_id="receive"))
    log = [Recorded(n, event) for n, event in enumerate(item.collect_events(), start=1)]
    opening = Answer([Told("add", FIRST_PRICE, None)], 0, 1, 0)

    def answered(result: int, refusal: str | None, before: int) -> list[Answer]:
        return [opening, Answer([Told("receive", result, None), Told("r", None, refusal)], before, 2, 0)]

    ensure_serial(log, asked, answered(1, "InsufficientStock", before=1))
    for wrong in (
        answered(2, "InsufficientStock", before=1),  # a result that no order gives
        answered(1, "InsufficientStock", before=2),  # refused for what was no longer so when it was asked
        answered(1, "ReservationEnded", before=1),
        answered(1, None, before=1),  # accepted, and nowhere in the log
    ):
        with pytest.raises(AssertionError):
            ensure_serial(log, asked, wrong)
