from __future__ import annotations

import asyncio
import time

from streams.tail import Tail
from tests.fakes.log import MemoryLog
from tests.integration.readside.shop import collected, stock


async def test_followers_at_the_same_place_share_one_read() -> None:
    log = MemoryLog(collected(stock()))
    tail = Tail(log)
    pages = await asyncio.gather(*(tail.read(0) for _ in range(5)))
    assert all(page is pages[0] for page in pages)
    assert log.reads == [0]
    assert [r.position for r in pages[0].events] == [1, 2]


async def test_an_empty_page_is_not_kept() -> None:
    log = MemoryLog()
    tail = Tail(log)
    assert list((await tail.read(0)).events) == []
    log.append(*collected(stock()))
    assert len((await tail.read(0)).events) == 2


async def test_only_the_last_few_pages_are_kept() -> None:
    log = MemoryLog([event for n in range(3) for event in collected(stock(f"sku-{n}"))])
    tail = Tail(log, page_size_events=1, kept_pages_count=2)
    for after in (0, 1, 2, 2, 1, 0):
        await tail.read(after)
    assert log.reads == [0, 1, 2, 0]


async def test_a_page_says_all_there_was_when_it_was_read_not_when_it_is_looked_at() -> None:
    """A kept page may be old: what was appended since must wake its reader at once."""
    log = MemoryLog(collected(stock()))
    tail = Tail(log)
    await tail.wake()
    page = await tail.read(0)
    log.append(*collected(stock("chair")))
    await tail.wake()
    async with asyncio.timeout(1):
        await tail.wait_beyond(page)
        await tail.wait_beyond(await tail.read(0))


async def test_whoever_waits_is_woken_by_an_append() -> None:
    log = MemoryLog()
    tail = Tail(log, poll_seconds=60)
    await tail.wake()
    waiting = asyncio.create_task(tail.wait_beyond(await tail.read(0)))
    waking = asyncio.create_task(tail.wake())
    await asyncio.sleep(0)
    assert not waiting.done()
    log.append(*collected(stock()))
    async with asyncio.timeout(1):
        await asyncio.gather(waiting, waking)


async def test_and_by_the_poll_when_the_append_was_not_announced() -> None:
    tail = Tail(MemoryLog(), poll_seconds=0.01)
    await tail.wake()
    page = await tail.read(0)
    async with asyncio.timeout(1):
        await asyncio.gather(tail.wait_beyond(page), tail.wake())


async def test_an_append_while_the_log_is_being_read_is_not_missed() -> None:
    log = MemoryLog()
    tail = Tail(log)
    await tail.wake()
    reading = asyncio.create_task(tail.read(0))
    await asyncio.sleep(0)  # the log has been looked at, and the answer is under way
    log.append(*collected(stock()))
    await tail.wake()
    page = await reading
    assert list(page.events) == []
    async with asyncio.timeout(1):
        await tail.wait_beyond(page)


async def test_a_busy_log_wakes_its_followers_once_in_a_beat() -> None:
    log = MemoryLog()
    tail = Tail(log, poll_seconds=60, beat_seconds=0.05)
    began = time.monotonic()
    for _ in range(4):
        log.append(*collected(stock()))
        await tail.wake()
    assert time.monotonic() - began >= 3 * 0.05
