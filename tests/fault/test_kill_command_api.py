"""The command API is killed again and again while shoppers and operators write: what was answered is stored, and what
was not is stored whole or not at all. COUNTERFOIL_TEST_SEED repeats a schedule.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from domain.events.order import OrderPlaced, OrderSubmitted
from domain.events.receipt import ReceiptAnswered, ReceiptOpened
from tests.e2e.client import Client, given_product
from tests.e2e.running_shop import RunningShop, a_shop
from tests.fault.ledger import BEGUN, FAILED, PLACED, Ledger, read_ledger
from tests.fault.load import SKUS, WAREHOUSES, Load
from tests.fault.promises import ensure_kept
from tests.waiting import eventually

SEED = os.environ.get("COUNTERFOIL_TEST_SEED", "0")
# A part that ends often is started later each time: after so many kills the shop is started anew, which forgets that.
KILLS_PER_START_COUNT = 5
KILLS_COUNT = 50
LOAD_SECONDS = (0.05, 1.2)
RESUMED_WITHIN_SECONDS = 60
STOCK_UNITS = 200


@pytest.mark.long
@pytest.mark.timeout(1_800)
async def test_kills_in_the_middle_of_work_break_no_promise(tmp_path: Path) -> None:
    # What a request has left undone is resumed 5 s after it could have been done.
    with a_shop(tmp_path, COUNTERFOIL_CHECKOUT_ANSWER_WITHIN_SECONDS="2") as shop:
        await asyncio.to_thread(shop.start, "--empty")
        await stock_up(shop)
        load = Load(shop, SEED)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await kill_again_and_again(shop, KILLS_COUNT)
            load.stop()
        await until_nothing_is_left_to_do(shop)
        ledger, books = read_ledger(shop.database_url), shop.books()

    told = Counter(f"{one.kind} {one.told.status_code if one.told else 'unanswered'}" for one in load.asked)
    try:
        ledger.ensure_whole()
        ensure_kept(ledger, load.asked)
        ensure_charged_once(ledger, books)
    except AssertionError as error:
        error.add_note(f"COUNTERFOIL_TEST_SEED={SEED}: {dict(told)}")
        raise
    assert sum(one.told is None for one in load.asked) >= KILLS_COUNT, f"few were interrupted: {told}"
    assert told["checkout 201"] > KILLS_COUNT and told["checkout 402"] > 0 and told["receive 200"] > KILLS_COUNT, told
    ensure_a_missing_event_is_seen(ledger)


async def stock_up(shop: RunningShop) -> None:
    async with Client(shop, "olga", "operator") as operator:
        for n, sku in enumerate(SKUS):
            await given_product(operator, sku, price=100 + n)
            for warehouse_id in WAREHOUSES:
                received = {"warehouse_id": warehouse_id, "quantity": STOCK_UNITS}
                answer = await operator.command("POST", f"/v1/inventory/{sku}/receive", received)
                assert answer.status_code == 200, answer.text


async def kill_again_and_again(shop: RunningShop, kills_count: int) -> None:
    draw = random.Random(f"kills {SEED}")  # noqa: S311
    killed = 0
    for n in range(kills_count):
        if n and n % KILLS_PER_START_COUNT == 0:
            await asyncio.to_thread(shop.stop)
            await asyncio.to_thread(shop.start, "--empty")
        pid = await pid_other_than(shop, killed)
        await asyncio.sleep(draw.uniform(*LOAD_SECONDS))
        os.kill(pid, signal.SIGKILL)
        killed = pid
        await until_gone(pid)
        await asyncio.to_thread(shop.wait_until_ready)


async def pid_other_than(shop: RunningShop, killed: int) -> int:
    """Of the command API; the folder says it a moment after it is so."""

    async def pid() -> int:
        return shop.pids().get("command-api", killed)

    return await eventually(pid, lambda pid: pid != killed)


async def until_gone(pid: int) -> None:
    async def lives() -> bool:
        return is_process(pid)

    await eventually(lives, lambda lives: not lives)


def is_process(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def until_nothing_is_left_to_do(shop: RunningShop) -> None:
    until = time.monotonic() + RESUMED_WITHIN_SECONDS
    while left := unfinished_checkouts(shop.database_url):
        assert time.monotonic() < until, f"still unfinished after {RESUMED_WITHIN_SECONDS} s: {left}"
        await asyncio.sleep(0.1)


def unfinished_checkouts(database_url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT checkout_id, due_at FROM log.unfinished_checkouts").fetchall()


def ensure_charged_once(ledger: Ledger, books: dict[str, dict[str, object]]) -> None:
    totals = {
        str(one.event.originator_id): one.event.total.amount
        for one in ledger.log
        if isinstance(one.event, OrderSubmitted)
    }
    placed = [str(one.event.originator_id) for one in ledger.log if isinstance(one.event, OrderPlaced)]
    assert len(placed) == len(set(placed))
    assert books["charges"] == {"count": len(placed), "amounts": {"GBP": sum(totals[order_id] for order_id in placed)}}
    assert books["authorised"]["count"] == 0, "what is not taken by now is held for nothing"
    assert books["refunds"]["count"] == 0


def ensure_a_missing_event_is_seen(ledger: Ledger) -> None:
    """Or the test would prove nothing: without any one of the events that belong together, it fails."""
    for event_class in (*BEGUN, *PLACED, *FAILED, ReceiptOpened, ReceiptAnswered):
        found = [n for n, one in enumerate(ledger.log) if isinstance(one.event, event_class)]
        if not found:
            continue  # how a checkout fails depends on the schedule
        without = ledger.log[: found[-1]] + ledger.log[found[-1] + 1 :]
        try:
            Ledger(without).ensure_orders_whole()
        except AssertionError:
            continue
        raise AssertionError(f"nobody misses a {event_class.__name__}")
