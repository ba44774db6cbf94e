"""One reader of the log for all who follow it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from commandside.event_store.log import EventLog
from projections.recorded import Recorded


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the order of the log. `read_at` is how often the tail had been woken when they were read."""

    events: Sequence[Recorded]
    read_at: int


class Tail:
    """Followers stand at the same place most of the time: the last few pages are kept, so that each is read once.

    What comes alone is told at once; what comes within `beat_seconds` of that is told together, so that a busy log
    costs its followers a batch for each beat and not for each append.

    Raises whatever the log raises.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        page_size_events: int = 500,
        kept_pages_count: int = 8,
        poll_seconds: float = 0.5,
        beat_seconds: float = 0.01,
    ) -> None:
        self.page_size_events = page_size_events
        self._log = log
        self._kept_pages_count = kept_pages_count
        self._poll_seconds = poll_seconds
        self._beat_seconds = beat_seconds
        self._woke_at = -beat_seconds
        self._pages: OrderedDict[int, Page] = OrderedDict()
        self._reading = asyncio.Lock()
        self._woken_count = 0
        self._woken = asyncio.Event()

    async def read(self, after: int) -> Page:
        """At most `page_size_events` events with positions above `after`: all there were at `read_at`, if fewer."""
        if page := self._pages.get(after):
            return page
        async with self._reading:
            if page := self._pages.get(after):
                return page
            read_at = self._woken_count
            page = Page(await self._log.read(after, self.page_size_events), read_at)
            if page.events:
                self._pages[after] = page
                if len(self._pages) > self._kept_pages_count:
                    self._pages.popitem(last=False)
            return page

    async def last_position(self) -> int:
        async with self._reading:
            return await self._log.last_position()

    async def wait_beyond(self, page: Page) -> None:
        """Returns when something may have been appended since `page` was read; at the latest when the next poll is due.

        At most two polls of the log later, that is, while `wake` is called in between.
        """
        while self._woken_count == page.read_at:
            await self._woken.wait()

    async def wake(self) -> None:
        """Waits for the next append, at most `poll_seconds`, and wakes those who wait."""
        await self._log.wait_for_append(self._poll_seconds)
        await asyncio.sleep(max(0.0, self._woke_at + self._beat_seconds - time.monotonic()))
        self._woke_at = time.monotonic()
        self._woken_count += 1
        self._woken.set()
        self._woken.clear()
