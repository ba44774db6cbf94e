"""Clients that each do one thing after another: as many at once as there are clients, no more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

WARM_UP_SHARE: Final = 0.4
JOIN_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """`done_count` things in the `seconds` that were measured; `all_count` with those of the warm-up and the end."""

    done_count: int
    seconds: float
    all_count: int

    @property
    def per_second(self) -> float:
        return self.done_count / self.seconds


@dataclass(frozen=True, slots=True)
class Sale:
    """`seconds` from the start to the last unit sold, by a clock that all processes share."""

    sold_count: int
    refused_count: int
    began_at: float
    sold_out_at: float


async def closed_loop(clients_count: int, work: Callable[[int], Awaitable[object]], seconds: float) -> Pace:
    """`work(client)` again and again by each client. The warm-up before the measured `seconds` does not count."""
    done = [0] * clients_count
    ending = False

    async def client(number: int) -> None:
        while not ending:
            await work(number)
            done[number] += 1

    async with asyncio.TaskGroup() as clients:
        for number in range(clients_count):
            clients.create_task(client(number))
        await asyncio.sleep(seconds * WARM_UP_SHARE)
        began, before = time.perf_counter(), sum(done)
        await asyncio.sleep(seconds)
        measured_seconds, after = time.perf_counter() - began, sum(done)
        ending = True
    return Pace(after - before, measured_seconds, sum(done))


def closed_loop_in_threads(clients_count: int, work: Callable[[int], object], seconds: float) -> Pace:
    """The same for clients that are threads. Raises what a client raised."""
    done = [0] * clients_count
    ending = threading.Event()
    failures: list[BaseException] = []

    def client(number: int) -> None:
        try:
            while not ending.is_set():
                work(number)
                done[number] += 1
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(clients_count)]
    for thread in threads:
        thread.start()
    time.sleep(seconds * WARM_UP_SHARE)
    began, before = time.perf_counter(), sum(done)
    time.sleep(seconds)
    measured_seconds, after = time.perf_counter() - began, sum(done)
    ending.set()
    for thread in threads:
        thread.join(JOIN_TIMEOUT_SECONDS)
    if failures:
        raise failures[0]
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError(f"clients were still at work {JOIN_TIMEOUT_SECONDS} s after the end")
    return Pace(after - before, measured_seconds, sum(done))


async def sell_out(clients_count: int, reserve: Callable[[], Awaitable[bool]]) -> Sale:
    """Each client reserves until it is refused."""
    began_at = sold_out_at = time.monotonic()
    sold_count = refused_count = 0

    async def client() -> None:
        nonlocal sold_count, refused_count, sold_out_at
        while await reserve():
            sold_count += 1
            sold_out_at = time.monotonic()
        refused_count += 1

    async with asyncio.TaskGroup() as clients:
        for _ in range(clients_count):
            clients.create_task(client())
    return Sale(sold_count, refused_count, began_at, sold_out_at)
