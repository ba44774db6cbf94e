"""Events appended a second, durable when they are answered, at 1 to 256 commands at once.

Each command appends one event, of about 300 bytes with its topic and ids, to its own client's stream: the same for all.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import psycopg
import uvloop

from bench.apart import Begin, run_apart
from bench.load import Pace, closed_loop
from bench.ours import a_cause, a_writer, open_stock, stock_item
from bench.references import library_append, pgbench
from bench.report import Report
from bench.server import STATEMENT_TIMEOUT_SECONDS, database
from commandside.aggregates import Aggregates

CLIENTS_COUNTS: Final = (1, 16, 64, 256)
COMPARED_CLIENTS_COUNT: Final = 64
SLACK_SECONDS: Final = 60.0


def run(
    report: Report,
    server_url: str,
    seconds: float,
    rounds_count: int,
    clients_counts: tuple[int, ...] = CLIENTS_COUNTS,
) -> None:
    with database(server_url) as url:
        library_append.prepare(url)
        pgbench.prepare(url)
        for _ in range(rounds_count):
            for clients_count in clients_counts:
                _round(report, url, clients_count, seconds)
    for name in ("library", "pgbench"):
        report.ratio(
            f"append.vs_{name}", _figure("ours", COMPARED_CLIENTS_COUNT), _figure(name, COMPARED_CLIENTS_COUNT)
        )


def _round(report: Report, url: str, clients_count: int, seconds: float) -> None:
    timeout_seconds = seconds * 2 + SLACK_SECONDS
    for name, contend, stored_in in (
        ("ours", ours, "log.stored_events"),
        ("library", library_append.contend, "library.application_events"),
    ):
        before = _stored(url, stored_in)
        pace: Pace
        (pace,) = run_apart(contend, url, clients_count, seconds, timeout_seconds=timeout_seconds)
        report.measure(_figure(name, clients_count), pace.per_second)
        # Each client's stream was opened with events of its own: two of ours, one of the library's.
        opened = clients_count * (2 if name == "ours" else 1)
        report.count(f"append.{name}_answered", pace.all_count)
        report.count(f"append.{name}_stored", _stored(url, stored_in) - before - opened)
    report.measure(_figure("pgbench", clients_count), pgbench.events_per_second(url, clients_count, seconds))


def ours(begin: Begin, _number: int, url: str, clients_count: int, seconds: float) -> Pace:
    return uvloop.run(_ours(begin, url, clients_count, seconds))


async def _ours(begin: Begin, url: str, clients_count: int, seconds: float) -> Pace:
    async with a_writer(url) as writer:
        run_id = a_cause().causation_id
        skus = [f"{run_id[-12:]}-{number}" for number in range(clients_count)]
        await asyncio.gather(*(writer.execute(partial(open_stock, sku=sku, units=1)) for sku in skus))
        begin()
        return await closed_loop(clients_count, lambda client: writer.execute(partial(_receive, skus[client])), seconds)


def _receive(sku: str, aggregates: Aggregates) -> None:
    stock_item(aggregates, sku).receive(1, a_cause())


def _stored(url: str, table: str) -> int:
    with psycopg.connect(url, options=f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s") as connection:
        if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
            return 0
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        return int(row[0]) if row else 0


def _figure(name: str, clients_count: int) -> str:
    return f"append.{name}_{clients_count}_events_per_second"
