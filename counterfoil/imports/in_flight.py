from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from functools import partial
from typing import TypeVar

from counterfoil.imports.stopping import Stopping, never

T = TypeVar("T")


async def in_flight(
    things: Iterable[T],
    do: Callable[[T], Awaitable[None]],
    *,
    limit_count: int,
    key: Callable[[T], Hashable] = id,
    stopping: Stopping = never,
) -> bool:
    """Do each of the things, up to `limit_count` at a time, so that what they write shares batches.

    Those of one `key` are done one after another. False when it was asked to stop before the end; what was begun is
    done then. Raises the first failure as it is, after the others have been cancelled.
    """
    slots = asyncio.Semaphore(limit_count)
    under_way: dict[Hashable, asyncio.Task[None]] = {}

    async def run(thing: T, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await before
            await do(thing)
        finally:
            slots.release()

    try:
        async with asyncio.TaskGroup() as group:
            for thing in things:
                await slots.acquire()
                if stopping():
                    slots.release()
                    return False
                which = key(thing)
                task = group.create_task(run(thing, under_way.get(which)))
                under_way[which] = task
                task.add_done_callback(partial(_forget, under_way, which))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return True


def _forget(under_way: dict[Hashable, asyncio.Task[None]], which: Hashable, done: asyncio.Task[None]) -> None:
    if under_way.get(which) is done:
        del under_way[which]
