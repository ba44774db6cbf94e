"""Each of the writer's metrics moves by what it says, and by nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from commandside.metrics import WriterMetrics
from commandside.writer import Busy, Writer
from tests.unit.commandside.decisions import on_hand, poison, receive, received_elsewhere, reserve
from tests.unit.commandside.scripted_store import ScriptedStore
from tests.unit.commandside.together import together

PREFIX = "counterfoil_writer_"


class Measured:
    def __init__(self, store: ScriptedStore) -> None:
        self.store = store
        self.registry = CollectorRegistry()
        self.writer = Writer(
            store, metrics=WriterMetrics(self.registry), queue_limit_commands=2, cache_limit_aggregates=3
        )

    def value(self, name: str) -> float:
        found = self.registry.get_sample_value(PREFIX + name)
        assert found is not None, name
        return found

    def values(self, *names: str) -> tuple[float, ...]:
        return tuple(self.value(name) for name in names)


@pytest.fixture
async def measured() -> AsyncIterator[Measured]:
    measured = Measured(ScriptedStore())
    await measured.writer.start()
    yield measured
    await measured.writer.stop()


BATCHES = ("batch_commands_count", "batch_commands_sum", "batch_events_count", "batch_events_sum")
TIMES = ("wait_seconds_count", "decide_seconds_count", "commit_seconds_count")
CACHE = ("cache_hits_total", "cache_misses_total", "cached_aggregates")
REFUSALS = ("refused_total", "turned_away_total", "conflicts_total")


def test_these_are_all(measured: Measured) -> None:
    covered = {*BATCHES, *TIMES, *CACHE, *REFUSALS, "queue_commands"}
    kinds = {metric.name.removeprefix(PREFIX) for metric in measured.registry.collect()}
    endings = ("_count", "_sum", "_total")
    assert kinds == {next((name.removesuffix(e) for e in endings if name.endswith(e)), name) for name in covered}


async def test_a_batch_is_counted_with_its_commands_and_events(measured: Measured) -> None:
    await together(measured.writer, receive("lamp", 5), reserve("lamp", "r1"))
    assert measured.values(*BATCHES) == (1, 2, 1, 3)
    assert measured.values(*TIMES) == (1, 1, 1)

    await together(measured.writer, receive("lamp", 1))
    assert measured.values(*BATCHES) == (2, 3, 2, 4)


async def test_a_batch_that_appends_nothing_commits_nothing(measured: Measured) -> None:
    await together(measured.writer, on_hand("lamp"))
    assert measured.values(*BATCHES) == (1, 1, 1, 0)
    assert measured.values(*TIMES) == (1, 1, 0)


async def test_what_waited_while_another_batch_committed(measured: Measured) -> None:
    measured.store.hold_up()
    first = asyncio.create_task(measured.writer.execute(receive("lamp", 1)))
    await measured.store.until_appending()
    more = [asyncio.create_task(measured.writer.execute(receive("lamp", 1))) for _ in range(2)]
    await asyncio.sleep(0)  # they have asked
    await asyncio.sleep(0.05)  # a time that is then to be seen
    with pytest.raises(Busy):
        await measured.writer.execute(receive("lamp", 1))
    measured.store.let_go()
    await asyncio.gather(first, *more)

    assert measured.value("turned_away_total") == 1
    assert measured.value("wait_seconds_sum") >= 0.05
    assert measured.value("commit_seconds_sum") >= 0.05
    assert measured.value("decide_seconds_sum") < measured.value("commit_seconds_sum")
    assert measured.value("queue_commands") == 0


async def test_the_queue_is_what_a_batch_left_in_it() -> None:
    registry = CollectorRegistry()
    store = ScriptedStore()
    writer = Writer(store, metrics=WriterMetrics(registry), batch_limit_commands=2)
    await writer.start()
    store.hold_up()
    waiting = [asyncio.create_task(writer.execute(receive("lamp", 1))) for _ in range(5)]
    await store.until_appending()
    assert registry.get_sample_value(PREFIX + "queue_commands") == 3
    store.let_go()
    await asyncio.gather(*waiting)
    assert registry.get_sample_value(PREFIX + "queue_commands") == 0
    await writer.stop()


async def test_refusals_and_faults_are_counted(measured: Measured) -> None:
    await together(measured.writer, receive("lamp", 1), reserve("lamp", "r1", 2))
    await together(measured.writer, poison("lamp"), reserve("lamp", "r1", 1))
    assert measured.values(*REFUSALS) == (2, 0, 0)


async def test_a_conflict_is_counted_and_its_batch_once(measured: Measured) -> None:
    await measured.writer.execute(receive("lamp", 1))
    measured.store.before_appends.append(partial(received_elsewhere, measured.store, "lamp", 7))
    await measured.writer.execute(receive("lamp", 1))
    assert measured.values(*REFUSALS) == (0, 0, 1)
    assert measured.values(*BATCHES) == (2, 2, 2, 3)


async def test_the_cache_is_counted(measured: Measured) -> None:
    await measured.writer.execute(receive("lamp", 1))
    assert measured.values(*CACHE) == (0, 0, 1), "a stream that was empty is neither"
    await measured.writer.execute(receive("lamp", 1))
    await measured.writer.execute(on_hand("lamp"))
    assert measured.values(*CACHE) == (2, 0, 1)

    await measured.store.append(received_elsewhere(measured.store, "chair", 7), {})
    await measured.writer.execute(on_hand("chair"))
    assert measured.values(*CACHE) == (2, 1, 2)

    for sku in ("vase", "desk"):
        await measured.writer.execute(receive(sku, 1))
    assert measured.values(*CACHE) == (2, 1, 3), "its limit"
    await measured.writer.execute(on_hand("lamp"))
    assert measured.values(*CACHE) == (2, 2, 3)
