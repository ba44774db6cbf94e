"""Memory is trusted, and the append finds out whether it was right to: no price, and no refusal, is of an old state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from commandside.event_store.postgres import PostgresEventStore
from commandside.metrics import WriterMetrics
from commandside.writer import Writer
from domain.aggregates import Cart
from domain.errors import DomainError, InsufficientStock
from domain.events import AnyEvent
from domain.identity import cart_stream
from tests.integration.write_path.shelf_commands import ShelfCommand


class BlindStore(PostgresEventStore):
    """Says nothing of what was read: a store that this one has to be told apart from."""

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        return await super().append(events, work)

    async def check(self, reads: Mapping[UUID, int]) -> int:
        return await super().check({})


class Process:
    """What a command process is to this: a store and a writer, with a memory of their own."""

    def __init__(self, store: PostgresEventStore) -> None:
        self.store = store
        self._registry = CollectorRegistry()
        self.writer = Writer(store, metrics=WriterMetrics(self._registry))

    async def do(self, kind: str, number: int = 0, name: str = "x", reservation_id: str = "") -> int:
        command = ShelfCommand(kind, "lamp", number, reservation_id, name)  # type: ignore[arg-type]
        return (await self.writer.execute(command)).result

    @property
    def conflicts_count(self) -> float:
        return self._registry.get_sample_value("counterfoil_writer_conflicts_total") or 0


@asynccontextmanager
async def process(
    database_url: str, store_class: type[PostgresEventStore] = PostgresEventStore
) -> AsyncIterator[Process]:
    one = Process(store_class(database_url))
    await one.writer.start()
    try:
        yield one
    finally:
        await one.writer.stop()
        one.store.close()


async def price_in_the_cart(database_url: str, store_class: type[PostgresEventStore]) -> int:
    """One process remembers the product; another changes its price; the first puts it into a cart."""
    async with process(database_url, store_class) as one, process(database_url) as other:
        await one.do("add", 100)
        assert await one.do("quote", name="before") == 100
        await other.do("reprice", 200)
        told = await one.do("quote", name="after")
        assert one.conflicts_count == (0 if store_class is BlindStore else 1)
        history = await other.store.history(cart_stream("customer:after"))
        line = Cart.replay([recorded.event for recorded in history]).lines["lamp"]
        assert line.unit_price.amount == told
        return told


async def test_a_price_is_never_read_stale(database_url: str) -> None:
    assert await price_in_the_cart(database_url, PostgresEventStore) == 200


async def test_without_the_reads_it_would_be(database_url: str) -> None:
    assert await price_in_the_cart(database_url, BlindStore) == 100


async def last_unit(database_url: str, store_class: type[PostgresEventStore]) -> DomainError | None:
    """One process remembers that nothing is left; another receives more; the first is asked for one."""
    async with process(database_url, store_class) as one, process(database_url) as other:
        await one.do("add", 100)
        with pytest.raises(InsufficientStock):
            await one.do("reserve", 1, reservation_id="r1")
        await other.do("receive", 1)
        try:
            await one.do("reserve", 1, reservation_id="r1")
        except DomainError as refusal:
            return refusal
    return None


async def test_a_refusal_is_never_of_an_old_state(database_url: str) -> None:
    assert await last_unit(database_url, PostgresEventStore) is None


async def test_without_the_check_it_would_be(database_url: str) -> None:
    assert isinstance(await last_unit(database_url, BlindStore), InsufficientStock)


async def test_a_look_is_never_at_an_old_state(database_url: str) -> None:
    async with process(database_url) as one, process(database_url) as other:
        await one.do("add", 100)
        assert await one.do("look") == 0
        await other.do("receive", 7)
        assert await one.do("look") == 7


async def test_a_stream_that_was_empty_is_looked_at_again(database_url: str) -> None:
    """Nothing is remembered of a stream without events, so nobody is told «not there» of what is there by now."""
    async with process(database_url) as one, process(database_url) as other:
        with pytest.raises(DomainError):
            await one.do("look")
        await other.do("add", 100)
        assert await one.do("look") == 0
        assert one.conflicts_count == 0
