"""Reservations a second of one SKU, until it is sold out.

64 clients, a unit each time, until each was refused once. All contenders keep a record of every reservation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import psycopg
import uvloop
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random
from uuid_utils.compat import uuid7

from bench.apart import Begin, run_apart
from bench.load import Sale, sell_out
from bench.ours import WAREHOUSE, a_cause, a_writer, open_stock, stock_item
from bench.references import skip_locked, update_row
from bench.report import Report
from bench.server import database
from commandside.aggregates import Aggregates
from commandside.event_store.postgres import PostgresEventStore
from commandside.writer import Busy, Contended, Writer
from domain.aggregates import StockItem
from domain.errors import InsufficientStock
from domain.identity import stock_stream

CLIENTS_COUNT: Final = 64
FIRST_UNITS: Final = 400
LEAST_UNITS: Final = 200
MOST_UNITS: Final = 200_000
WARM_UP_UNITS: Final = 200
SLACK_SECONDS: Final = 60.0
ATTEMPTS_LIMIT_COUNT: Final = 100
LONGEST_PAUSE_SECONDS: Final = 0.05
RESERVED_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Contender:
    """`stock(url, sku, units)` has them to sell, `contend` sells them, `reserved(url, sku)` is on record."""

    name: str
    stock: Callable[[str, str, int], None]
    contend: Callable[..., Sale]
    reserved: Callable[[str, str], int]
    processes_count: int = 1


def run(report: Report, server_url: str, seconds: float, rounds_count: int) -> None:
    contenders = (
        Contender("ours", stock, ours, reserved),
        Contender("two_processes", stock, ours, reserved, processes_count=2),
        Contender("update", update_row.stock, update_row.contend, update_row.reserved),
        Contender("skip_locked", skip_locked.stock, skip_locked.contend, skip_locked.reserved),
    )
    with database(server_url) as url:
        update_row.prepare(url)
        skip_locked.prepare(url)
        # A first, discarded sale says how many units last for the seconds that were asked for.
        paces = {each.name: _sale(url, each, FIRST_UNITS, seconds).pace for each in contenders}
        for _ in range(rounds_count):
            for contender in contenders:
                units = min(max(round(paces[contender.name] * seconds), LEAST_UNITS), MOST_UNITS)
                _measure(report, contender.name, _sale(url, contender, units, seconds))
    for reference in ("update", "skip_locked"):
        report.ratio(f"hot_sku.vs_{reference}", _figure("ours"), _figure(reference))
    report.ratio("hot_sku.two_processes_vs_update", _figure("two_processes"), _figure("update"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the clients were told, and what is on record afterwards."""

    units: int
    sold_count: int
    refused_count: int
    reserved_units: int
    pace: float


def _sale(url: str, contender: Contender, units: int, seconds: float) -> Outcome:
    sku, warm_up_sku = f"hot-{uuid7()}", f"warm-{uuid7()}"
    contender.stock(url, sku, units)
    contender.stock(url, warm_up_sku, WARM_UP_UNITS)
    sales: list[Sale] = run_apart(
        contender.contend,
        url,
        sku,
        warm_up_sku,
        CLIENTS_COUNT // contender.processes_count,
        processes_count=contender.processes_count,
        timeout_seconds=seconds * 10 + SLACK_SECONDS,
    )
    sold_count = sum(sale.sold_count for sale in sales)
    lasted_seconds = max(sale.sold_out_at for sale in sales) - min(sale.began_at for sale in sales)
    return Outcome(
        units,
        sold_count,
        sum(sale.refused_count for sale in sales),
        contender.reserved(url, sku),
        sold_count / lasted_seconds,
    )


def _measure(report: Report, name: str, outcome: Outcome) -> None:
    report.measure(_figure(name), outcome.pace)
    prefix = "hot_sku." if name == "ours" else f"hot_sku.{name}_"
    report.count(f"{prefix}units", outcome.units)
    report.count(f"{prefix}sold", outcome.sold_count)
    report.count(f"{prefix}refused", outcome.refused_count)
    report.count(f"{prefix}reserved_units", outcome.reserved_units)
    report.count(f"{prefix}oversold", max(0, outcome.reserved_units - outcome.units))


def stock(url: str, sku: str, units: int) -> None:
    async def receive() -> None:
        async with a_writer(url) as writer:
            await writer.execute(partial(open_stock, sku=sku, units=units))

    uvloop.run(receive())


def ours(begin: Begin, _number: int, url: str, sku: str, warm_up_sku: str, clients_count: int) -> Sale:
    async def sell() -> Sale:
        async with a_writer(url) as writer:
            await sell_out(clients_count, lambda: _reserve(writer, warm_up_sku))
            begin()
            return await sell_out(clients_count, lambda: _reserve(writer, sku))

    return uvloop.run(sell())


async def _reserve(writer: Writer, sku: str) -> bool:
    """As a client of the API does: told that it is busy (503), it asks again."""
    decide = partial(_reserve_unit, sku, str(uuid7()))
    try:
        try:
            await writer.execute(decide)
        except (Busy, Contended):
            await _asked_again(writer.execute, decide)
    except InsufficientStock:
        return False
    return True


_asked_again = AsyncRetrying(
    retry=retry_if_exception_type((Busy, Contended)),
    stop=stop_after_attempt(ATTEMPTS_LIMIT_COUNT),
    wait=wait_random(0, LONGEST_PAUSE_SECONDS),
    reraise=True,
)


def _reserve_unit(sku: str, reservation_id: str, aggregates: Aggregates) -> None:
    cause = a_cause()
    stock_item(aggregates, sku).reserve(reservation_id, 1, cause.at + RESERVED_FOR, cause)


def reserved(url: str, sku: str) -> int:
    """By the log, read anew; by its rows and by what they make of the aggregate."""
    stream = stock_stream(sku, WAREHOUSE)

    async def replay() -> StockItem:
        store = PostgresEventStore(url)
        try:
            return StockItem.replay([recorded.event for recorded in await store.history(stream)])
        finally:
            store.close()

    item = uvloop.run(replay())
    with psycopg.connect(url) as connection:
        row: Any = connection.execute(
            "SELECT count(*) FROM log.stored_events WHERE originator_id = %s AND topic = 'stock.reserved.v1'", (stream,)
        ).fetchone()
    if item.reserved != row[0] or item.available < 0:
        raise AssertionError(f"{row[0]} reservations are stored, and the stock says {item.reserved} of {item.on_hand}")
    return item.reserved


def _figure(name: str) -> str:
    return f"hot_sku.{name}_reservations_per_second"
