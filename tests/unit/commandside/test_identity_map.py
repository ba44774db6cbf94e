"""The aggregates in memory: used only when fresh, and never with something on them that is not to be stored."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from commandside.event_store import VersionConflict
from commandside.identity_map import IdentityMap, NotLoaded
from domain.aggregates import Receipt, StockItem
from domain.errors import NotFound
from domain.events import AnyEvent
from domain.identity import stock_stream
from tests.strategies import cause

LAMP = stock_stream("lamp", "north")
CHAIR = stock_stream("chair", "north")


def received(sku: str, *quantities: int) -> list[AnyEvent]:
    item = StockItem.open(sku, "north", cause())
    for quantity in quantities:
        item.receive(quantity, cause())
    return item.collect_events()


def needed(ask: Callable[[], object]) -> dict[UUID, int]:
    with pytest.raises(NotLoaded) as missing:
        ask()
    return missing.value.after


@pytest.fixture
def aggregates() -> IdentityMap:
    """With a lamp of version 2 in it, as of an earlier batch."""
    aggregates = IdentityMap(limit_aggregates=10)
    aggregates.begin_batch(trust_memory=False)
    aggregates.take_in([LAMP], {LAMP: received("lamp", 5)})
    aggregates.let_go()
    aggregates.begin_batch(trust_memory=False)
    return aggregates


def test_what_is_in_memory_is_asked_for_from_its_version_on(aggregates: IdentityMap) -> None:
    assert needed(lambda: aggregates.find_all(StockItem, [LAMP, CHAIR])) == {LAMP: 2, CHAIR: 0}
    assert needed(lambda: aggregates.load([CHAIR])) == {CHAIR: 0}


def test_it_is_brought_forward_by_what_others_stored(aggregates: IdentityMap) -> None:
    aggregates.take_in([LAMP, CHAIR], {LAMP: received("lamp", 5, 3)[2:]})

    lamp = aggregates.find(StockItem, LAMP)
    assert lamp is not None
    assert (lamp.on_hand, lamp.version) == (8, 3)
    assert aggregates.find(StockItem, CHAIR) is None
    assert aggregates.find_all(StockItem, [LAMP, CHAIR]) == {LAMP: lamp}


def test_what_was_fresh_in_one_batch_is_not_in_the_next(aggregates: IdentityMap) -> None:
    aggregates.take_in([LAMP, CHAIR], {})
    aggregates.let_go()
    aggregates.begin_batch(trust_memory=False)
    assert needed(lambda: aggregates.find_all(StockItem, [LAMP, CHAIR])) == {LAMP: 2, CHAIR: 0}


def test_memory_that_is_trusted_is_used_as_it_is_and_said_to_have_been_read(aggregates: IdentityMap) -> None:
    aggregates.begin_batch(trust_memory=True)
    item = aggregates.find(StockItem, LAMP)
    assert item is not None
    assert needed(lambda: aggregates.find(StockItem, CHAIR)) == {CHAIR: 0}
    assert aggregates.reads() == {LAMP: 2}

    item.receive(1, cause())
    aggregates.collect()
    assert aggregates.reads() == {}, "what is written is compared by its version"


def test_a_failed_decision_on_what_another_decided_goes_back_to_that(aggregates: IdentityMap) -> None:
    aggregates.take_in([LAMP], {})
    decided = aggregates.find(StockItem, LAMP)
    assert decided is not None
    decided.receive(1, cause())
    assert [event.originator_version for event in aggregates.collect()] == [3]
    failed = aggregates.find(StockItem, LAMP)
    assert failed is not None
    failed.receive(100, cause())
    aggregates.roll_back()

    assert aggregates.lost_in_batch() == {LAMP: 0}
    assert needed(lambda: aggregates.find(StockItem, LAMP)) == {LAMP: 0}
    aggregates.take_in([LAMP], {LAMP: received("lamp", 5)})

    restored = aggregates.find(StockItem, LAMP)
    assert restored is not None
    assert (restored.on_hand, restored.version) == (6, 3)
    assert aggregates.lost_in_batch() == {}
    assert aggregates.written_in_batch() == [restored]
    assert aggregates.collect() == []


def test_a_failed_decision_that_triggered_nothing_costs_nothing(aggregates: IdentityMap) -> None:
    aggregates.take_in([LAMP], {})
    aggregates.find(StockItem, LAMP)
    aggregates.roll_back()
    assert aggregates.find(StockItem, LAMP) is not None


def test_what_another_process_wrote_meanwhile_is_a_conflict(aggregates: IdentityMap) -> None:
    aggregates.take_in([LAMP], {})
    item = aggregates.find(StockItem, LAMP)
    assert item is not None
    item.receive(1, cause())
    aggregates.collect()
    with pytest.raises(VersionConflict):
        aggregates.take_in([LAMP], {LAMP: received("lamp", 5, 7)})


def test_a_new_aggregate_goes_where_nothing_was_found(aggregates: IdentityMap) -> None:
    chair = StockItem.open("chair", "north", cause())
    with pytest.raises(LookupError):
        aggregates.add(chair)
    aggregates.take_in([CHAIR], {})
    aggregates.add(chair)

    assert aggregates.find(StockItem, CHAIR) is chair
    assert [type(event).__name__ for event in aggregates.collect()] == ["StockOpened"]
    with pytest.raises(LookupError):
        aggregates.add(StockItem.open("chair", "north", cause()))


def test_a_stream_is_of_one_kind(aggregates: IdentityMap) -> None:
    aggregates.take_in([LAMP], {})
    with pytest.raises(NotFound):
        aggregates.find(Receipt, LAMP)


def test_what_failed_to_be_appended_is_forgotten(aggregates: IdentityMap) -> None:
    batch = aggregates.begin_batch(trust_memory=False)
    aggregates.take_in([LAMP, CHAIR], {CHAIR: received("chair", 1)})
    item = aggregates.find(StockItem, LAMP)
    assert item is not None
    item.receive(1, cause())
    aggregates.collect()
    aggregates.forget(batch)
    aggregates.begin_batch(trust_memory=False)
    assert needed(lambda: aggregates.load([LAMP, CHAIR])) == {LAMP: 0, CHAIR: 2}


def test_the_least_recently_used_goes_first() -> None:
    aggregates = IdentityMap(limit_aggregates=2)
    skus = ["a", "b", "c", "d"]
    streams = {stock_stream(sku, "north"): received(sku, 1) for sku in skus}
    aggregates.begin_batch(trust_memory=False)
    aggregates.take_in(streams, streams)
    assert len(aggregates.find_all(StockItem, list(streams))) == 4, "a batch has what it needs, however much that is"
    aggregates.let_go()
    assert len(aggregates) == 4
    aggregates.begin_batch(trust_memory=False)
    aggregates.let_go()
    assert list(needed(lambda: aggregates.load(list(streams))).values()) == [0, 0, 2, 2]
