"""An event loop whose time is virtual: when there is nothing to do, it is at once the time of the next timer."""

from __future__ import annotations

import asyncio
import heapq
from random import Random
from typing import Any

CALLBACKS_LIMIT_COUNT = 20_000_000


class Stalled(Exception):
    """Nothing will ever happen any more, and not everybody is done."""


class Endless(Exception):
    """More happened than any run has time for: somebody goes round in circles."""


class VirtualLoop(asyncio.BaseEventLoop):
    """No sockets, no threads, no clock. Of what is ready at one moment, the dice say what runs first.

    Without `dice` it is first come, first served, as asyncio has it.
    """

    # What asyncio keeps for itself: its own loops are made of it.
    _ready: Any
    _scheduled: Any

    def __init__(self, dice: Random | None = None, *, callbacks_limit_count: int = CALLBACKS_LIMIT_COUNT) -> None:
        super().__init__()
        self._seconds = 0.0
        self._dice = dice
        self._left_count = callbacks_limit_count

    def time(self) -> float:
        return self._seconds

    def jump(self, seconds: float) -> None:
        """As for a machine that slept: all that was due meanwhile is due at once."""
        self._seconds += seconds

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise Stalled
            self._seconds = max(self._seconds, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._seconds:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        count = len(ready)
        self._left_count -= count
        if self._left_count < 0:
            raise Endless
        if count > 1 and self._dice is not None:
            self._dice.shuffle(ready)
        for _ in range(count):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _write_to_self(self) -> None:
        """There is no other thread that would have to be waited for."""
