"""How long a command waits for its aggregate, by the length of the aggregate's history.

One command after another, each of which looks at the aggregate and changes nothing. `cached`: the aggregate is in
memory, and is compared with the log before it is believed. `cold`: the process has just started.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Final

import uvloop
from uuid_utils.compat import uuid7

from bench.apart import Begin, run_apart
from bench.load import WARM_UP_SHARE
from bench.ours import a_cause, a_writer, open_stock, stock_item
from bench.report import Report
from bench.server import database
from commandside.aggregates import Aggregates
from commandside.writer import Writer

HISTORIES_EVENTS: Final = (10, 1_000, 100_000)
EVENTS_PER_COMMAND: Final = 500
LOADS_LIMIT_COUNT: Final = 100_000
SLACK_SECONDS: Final = 120.0


def run(
    report: Report,
    server_url: str,
    seconds: float,
    rounds_count: int,
    histories_events: tuple[int, ...] = HISTORIES_EVENTS,
) -> None:
    timeout_seconds = seconds * 2 + SLACK_SECONDS
    with database(server_url) as url:
        skus = {length: f"old-{length}-{uuid7()}" for length in histories_events}
        for length, sku in skus.items():
            (written,) = run_apart(write_history, url, sku, length, timeout_seconds=timeout_seconds)
            report.count(f"rehydrate.history_{length}_events", written)
        for _ in range(rounds_count):
            for length, sku in skus.items():
                (found,) = run_apart(load_cached, url, sku, length, seconds, timeout_seconds=timeout_seconds)
                report.measure(_figure("cached", length), found)
                (found,) = run_apart(load_cold, url, sku, length, timeout_seconds=timeout_seconds)
                report.measure(_figure("cold", length), found)
    shortest, longest = min(histories_events), max(histories_events)
    report.ratio("rehydrate.long_over_short", _figure("cached", longest), _figure("cached", shortest))


def write_history(_begin: Begin, _number: int, url: str, sku: str, events_count: int) -> int:
    """Returns how long the history is."""

    async def write() -> int:
        async with a_writer(url) as writer:
            await writer.execute(partial(open_stock, sku=sku, units=1))
            for count in _portions(events_count - 2):
                await writer.execute(partial(_receive, sku, count))
            return (await writer.execute(partial(_version, sku))).result

    return uvloop.run(write())


def load_cached(_begin: Begin, _number: int, url: str, sku: str, events_count: int, seconds: float) -> float:
    """Median milliseconds."""

    async def load() -> float:
        async with a_writer(url) as writer:
            await _looked_at(writer, sku, events_count)
            began = time.perf_counter()
            while time.perf_counter() - began < seconds * WARM_UP_SHARE:
                await _looked_at(writer, sku, events_count)
            milliseconds: list[float] = []
            began = time.perf_counter()
            while time.perf_counter() - began < seconds and len(milliseconds) < LOADS_LIMIT_COUNT:
                milliseconds.append(await _looked_at(writer, sku, events_count))
            return median(milliseconds)

    return uvloop.run(load())


def load_cold(_begin: Begin, _number: int, url: str, sku: str, events_count: int) -> float:
    """Milliseconds of the first command on the aggregate, when another one has opened the connection."""

    async def load() -> float:
        async with a_writer(url) as writer:
            await writer.execute(partial(open_stock, sku=f"new-{uuid7()}", units=1))
            return await _looked_at(writer, sku, events_count)

    return uvloop.run(load())


async def _looked_at(writer: Writer, sku: str, events_count: int) -> float:
    began = time.perf_counter()
    version = (await writer.execute(partial(_version, sku))).result
    milliseconds = (time.perf_counter() - began) * 1_000
    if version != events_count:
        raise AssertionError(f"the aggregate is at version {version}, and its history has {events_count} events")
    return milliseconds


def _receive(sku: str, count: int, aggregates: Aggregates) -> None:
    item, cause = stock_item(aggregates, sku), a_cause()
    for _ in range(count):
        item.receive(1, cause)


def _version(sku: str, aggregates: Aggregates) -> int:
    return stock_item(aggregates, sku).version


def _portions(events_count: int) -> Iterator[int]:
    while events_count > 0:
        yield min(events_count, EVENTS_PER_COMMAND)
        events_count -= EVENTS_PER_COMMAND


def _figure(name: str, events_count: int) -> str:
    return f"rehydrate.{name}_{events_count}_events_milliseconds"
