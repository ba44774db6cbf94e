"""A process that takes its turn, says so, and keeps it: python -m tests.contract.event_store.turn_holder

The database is DATABASE_URL. It leaves when its input ends, if nobody kills it before.
"""

from __future__ import annotations

import asyncio
import os
import sys

from commandside.event_store.postgres import PostgresEventStore


async def hold() -> None:
    store = PostgresEventStore(os.environ["DATABASE_URL"])
    async with store.turn():
        print("mine", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    store.close()


if __name__ == "__main__":
    asyncio.run(hold())
