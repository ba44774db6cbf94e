"""A process that appends: python -m tests.contract.event_store.appending_process NAME WRITERS APPENDS

Each of its writers appends so often to streams of its own, one to three events at a time. The database is DATABASE_URL.
"""

from __future__ import annotations

import asyncio
import os
import sys

from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import StockItem
from tests.strategies import cause

STREAMS_COUNT = 5


async def append_all(name: str, writers_count: int, appends_count: int) -> None:
    store = PostgresEventStore(os.environ["DATABASE_URL"], pool_size_connections=writers_count)

    async def append(writer: int) -> None:
        items = [StockItem.open(f"{name}-{writer}-{n}", "north", cause()) for n in range(STREAMS_COUNT)]
        for n in range(appends_count):
            item = items[n % STREAMS_COUNT]
            for quantity in range(n % 3 + (n >= STREAMS_COUNT)):
                item.receive(quantity + 1, cause())
            if item.pending_events:
                await store.append(item.collect_events(), {})

    await asyncio.gather(*[append(writer) for writer in range(writers_count)])
    print(await store.last_position())
    store.close()


if __name__ == "__main__":
    asyncio.run(append_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
