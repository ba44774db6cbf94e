"""However the log is cut into batches, and whatever is delivered again, the same bytes are in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from projections.keys import Keys
from projections.recorded import Recorded
from projections.valkey import open_redis
from projections.view_projection import ViewProjection
from projections.views import Carts, Orders, ProductPages, StockLevels
from tests import histories
from tests.fakes.streams import MemoryStreams
from tests.fixtures.redis_contents import contents

ONCE, AGAIN = "once", "again"


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One loop for all examples, so that they share connections."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(scope="module")
def run(loop: asyncio.AbstractEventLoop, module_redis_url: str) -> Iterator[Callable[..., None]]:
    client = open_redis(module_redis_url)

    def run_on_empty_store(body: Callable[[Redis], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            await client.flushdb()
            await body(client)

        loop.run_until_complete(whole())

    yield run_on_empty_store
    loop.run_until_complete(client.aclose())


@given(log=histories.logs(), data=st.data())
def test_any_batching_gives_the_same_bytes(run: Callable[..., None], log: list[Recorded], data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(log))))

    async def body(client: Redis) -> None:
        for projection in views(client, ONCE, log):
            await projection.apply(log, log[-1].position)
        for projection in views(client, AGAIN, log):
            for batch in cut(log, cuts):
                await projection.apply(batch, batch[-1].position)
        assert await contents(client, AGAIN) == await contents(client, ONCE)

    run(body)


@given(log=histories.logs(), data=st.data())
def test_redelivery_changes_nothing(run: Callable[..., None], log: list[Recorded], data: st.DataObject) -> None:
    """As after a restart: some window of the log comes again, in batches of other sizes, to a new worker."""
    begin = data.draw(st.integers(0, len(log) - 1))
    window = log[begin : data.draw(st.integers(begin + 1, len(log)))]
    cuts = data.draw(st.sets(st.integers(1, len(window))))

    async def body(client: Redis) -> None:
        for projection in views(client, ONCE, log):
            await projection.apply(log, log[-1].position)
        before = await contents(client, ONCE)
        for projection in views(client, ONCE, log):
            await projection.checkpoint()
            for batch in cut(window, cuts):
                await projection.apply(batch, batch[-1].position)
        assert await contents(client, ONCE) == before

    run(body)


@given(log=histories.logs(), data=st.data())
def test_streams_may_come_in_any_order_from_many_workers(
    run: Callable[..., None], log: list[Recorded], data: st.DataObject
) -> None:
    """Each worker has its own streams and its own place: as by partition."""
    streams = sorted({recorded.event.originator_id for recorded in log})
    order = data.draw(st.permutations(streams))

    async def body(client: Redis) -> None:
        for projection in views(client, ONCE, log):
            await projection.apply(log, log[-1].position)
        for stream_id in order:
            own = [recorded for recorded in log if recorded.event.originator_id == stream_id]
            for projection in views(client, AGAIN, log, partition=str(stream_id)):
                await projection.apply(own, own[-1].position)
        assert without_checkpoints(await contents(client, AGAIN)) == without_checkpoints(await contents(client, ONCE))

    run(body)


@given(log=histories.logs(), data=st.data())
def test_events_that_never_came_are_read_from_their_stream(
    run: Callable[..., None], log: list[Recorded], data: st.DataObject
) -> None:
    lost = data.draw(st.sets(st.integers(0, len(log) - 1)))
    last_of_stream = {recorded.event.originator_id: n for n, recorded in enumerate(log)}
    # What comes after tells that something is missing: the last event of a stream must arrive.
    arrived = [r for n, r in enumerate(log) if n not in lost or last_of_stream[r.event.originator_id] == n]

    async def body(client: Redis) -> None:
        for projection in views(client, ONCE, log):
            await projection.apply(log, log[-1].position)
        for projection in views(client, AGAIN, log):
            await projection.apply(arrived, log[-1].position)
        assert await contents(client, AGAIN) == await contents(client, ONCE)

    run(body)


def views(client: Redis, prefix: str, log: Sequence[Recorded], partition: str = "0") -> list[ViewProjection[Any]]:
    keys, streams = Keys(prefix), MemoryStreams(recorded.event for recorded in log)
    return [
        ViewProjection(view, client, streams, keys, partition)
        for view in (ProductPages(keys), StockLevels(keys), Carts(keys), Orders(keys))
    ]


def cut(log: Sequence[Recorded], cuts: set[int]) -> list[Sequence[Recorded]]:
    bounds = [0, *sorted(cuts - {len(log)}), len(log)]
    return [log[begin:end] for begin, end in pairwise(bounds)]


def without_checkpoints(held: dict[bytes, Any]) -> dict[bytes, Any]:
    return {key: value for key, value in held.items() if not key.startswith(b":checkpoint:")}
