"""The distributed shop while its parts are killed at random: in the end every view is what the log says.

COUNTERFOIL_TEST_SEED repeats a schedule; COUNTERFOIL_TEST_CHAOS_SECONDS says for how long.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.server import Server
from projections.valkey import open_redis
from streams.signals.page_view_topic import PageViewTopic
from tests.fault.kafka.parts import Part, keep_alive, relays_and_workers
from tests.fault.kafka.replayed import (
    LOOKED_AT,
    ensure_identical,
    ensure_sales_counted,
    ensure_stock_adds_up,
    ensure_verified,
    last_position,
    until_all_hold,
)
from tests.fault.kafka.trade import Trade, a_trade
from tests.fault.ledger import read_ledger
from tests.waiting import eventually

SEED = os.environ.get("COUNTERFOIL_TEST_SEED", "0")
CHAOS_SECONDS = float(os.environ.get("COUNTERFOIL_TEST_CHAOS_SECONDS", "180"))
COMMANDS_PER_SECOND = 100
# What a busy machine comes to in the worst case.
LEAST_COMMANDS_PER_SECOND = 10
READY_WITHIN_SECONDS = 90
CAUGHT_UP_WITHIN_SECONDS = 120
PAUSE_SECONDS = (2.0, 6.0)
DOWN_SECONDS = (0.0, 2.0)
PRODUCTS_LOOKED_AT_COUNT = 40
LOOKS_EVERY_SECONDS = 0.2
KAFKA, LEADER, STAND_BY = "kafka", "relay leader", "relay on stand-by"


@dataclass
class Chaos:
    """Everything that may be killed, and how often it was."""

    kafka: Server
    relays: Sequence[Part]
    workers: Sequence[Part]
    # A server ends with the thread that started it: so there is one that lasts.
    surgeon: ThreadPoolExecutor
    killed: Counter[str]

    async def go_on(self, seconds: float) -> None:
        """Each in turn, in an order that chance makes, until the time is over; all run again afterwards.

        The next one is killed while those before it may still be coming back.
        """
        draw = random.Random(f"chaos {SEED}")  # noqa: S311 (the same every time)
        targets = [KAFKA, LEADER, STAND_BY, *(worker.name for worker in self.workers)]
        until, turns = time.monotonic() + seconds, list[str]()
        down: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                await asyncio.sleep(draw.uniform(*PAUSE_SECONDS))
                turns = turns or draw.sample(targets, len(targets))
                target, down_seconds = turns.pop(), draw.uniform(*DOWN_SECONDS)
                if target not in down or down[target].done():
                    down[target] = group.create_task(self._kill(target, down_seconds), name=target)
                    self.killed[target] += 1

    async def _kill(self, target: str, down_seconds: float) -> None:
        if target == KAFKA:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self.surgeon, self.kafka.kill)
            await asyncio.sleep(down_seconds)
            await loop.run_in_executor(self.surgeon, self.kafka.start)
            return
        part = await self._part(target)
        part.kill()
        part.kills_count += 1
        await asyncio.sleep(down_seconds)
        part.start()

    async def _part(self, target: str) -> Part:
        for worker in self.workers:
            if worker.name == target:
                return worker
        # While nobody leads, the last one takes both parts.
        leading = [relay for relay in self.relays if await relay.leads()]
        leader = leading[0] if leading else self.relays[-1]
        return leader if target == LEADER else next(relay for relay in self.relays if relay is not leader)

    def said(self) -> str:
        parts = "\n".join(part.said() for part in (*self.relays, *self.workers))
        return f"killed: {dict(self.killed)}\n{parts}\nkafka:\n{self.kafka.last_words()}"


@pytest.mark.long
@pytest.mark.timeout(CHAOS_SECONDS + 600)
async def test_parts_and_kafka_killed_at_random_and_every_view_equals_a_replay(
    own_kafka: Server, database_url: str, redis_url: str, module_redis_url: str, tmp_path: Path
) -> None:
    print(f"COUNTERFOIL_TEST_SEED={SEED} COUNTERFOIL_TEST_CHAOS_SECONDS={CHAOS_SECONDS:g}")
    addresses = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "KAFKA_URL": own_kafka.address}
    with (
        relays_and_workers(tmp_path, relays_count=2, workers_count=2, **addresses) as (relays, workers),
        ThreadPoolExecutor(max_workers=1) as surgeon,
    ):
        chaos = Chaos(own_kafka, relays, workers, surgeon, Counter())
        keeping = asyncio.create_task(keep_alive([*relays, *workers]))
        try:
            position = await under_load(chaos, database_url, redis_url, tmp_path)
            await ensure_right(database_url, redis_url, module_redis_url, position)
            for worker in workers:
                assert "Partition is not assigned" not in worker.log(), "none ends because others have its partitions"
        except BaseException as error:
            error.add_note(f"COUNTERFOIL_TEST_SEED={SEED}\n{chaos.said()}")
            raise
        finally:
            keeping.cancel()
            await asyncio.wait([keeping], timeout=10)
        print(chaos.said())


async def under_load(chaos: Chaos, database_url: str, redis_url: str, folder: Path) -> int:
    """Returns the end of the log, when all views have come there."""
    async with (
        open_redis(redis_url, timeout_seconds=30) as client,
        a_trade(database_url, folder / "trade", SEED) as trade,
    ):
        for part in (*chaos.relays, *chaos.workers):
            await eventually(part.is_ready, bool, READY_WITHIN_SECONDS)
        await until_all_hold(client, await last_position(database_url), READY_WITHIN_SECONDS)
        began = time.monotonic()
        await trading(trade, chaos)
        lasted_seconds = time.monotonic() - began
        position = await last_position(database_url)
        await until_all_hold(client, position, CAUGHT_UP_WITHIN_SECONDS)
        caught_up_seconds = time.monotonic() - began - lasted_seconds
    print(
        f"{trade.commands_count} commands in {lasted_seconds:.0f} s: {dict(trade.done)}; {position} events; "
        f"all views there {caught_up_seconds:.1f} s after the end"
    )
    assert trade.commands_count > LEAST_COMMANDS_PER_SECOND * lasted_seconds, trade.done
    assert chaos.killed.total() >= min(CHAOS_SECONDS / 30, 1), chaos.killed
    return position


async def trading(trade: Trade, chaos: Chaos) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(trade.run(COMMANDS_PER_SECOND))
        looking = group.create_task(look_at_products(chaos.kafka.address))
        await chaos.go_on(CHAOS_SECONDS)
        trade.stop()
        looking.cancel()


async def look_at_products(kafka_url: str) -> None:
    """Until cancelled. Some are lost while Kafka is down; the workers have their partitions to share, too."""
    async with PageViewTopic(kafka_url) as topic:
        while True:
            await topic.put({f"{LOOKED_AT}-{n}": 1 for n in range(PRODUCTS_LOOKED_AT_COUNT)}, datetime.now(UTC))
            await asyncio.sleep(LOOKS_EVERY_SECONDS)


async def ensure_right(database_url: str, redis_url: str, other_redis_url: str, position: int) -> None:
    ledger = await asyncio.to_thread(read_ledger, database_url)
    ledger.ensure_whole()
    assert len(ledger.placed_orders) > 0
    await ensure_stock_adds_up(ledger, redis_url)
    await ensure_sales_counted(ledger, redis_url, were_looked_at=True)
    await ensure_verified(database_url, redis_url)
    await ensure_identical(database_url, redis_url, other_redis_url, position)
