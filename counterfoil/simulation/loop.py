"""An event loop whose time is virtual: when there is nothing to do, it is at once the time of the next timer."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
CALLBACKS_LIMIT_COUNT = 20_000_000


class Stalled(Exception):
    """Nothing will ever happen any more, and not everybody is done."""


class Endless(Exception):
    """More happened than any run has time for: somebody goes round in circles."""


# These are asyncio's own without what it asks in its debug mode: a good part of a run is spent here.
class _Handle(asyncio.Handle):
    __slots__ = ()

    def __init__(self, callback: Any, args: Any, loop: asyncio.AbstractEventLoop, context: Context | None) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class _Timer(asyncio.TimerHandle):
    __slots__ = ()

    def __init__(
        self, when: float, callback: Any, args: Any, loop: asyncio.AbstractEventLoop, context: Context | None
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = False


class VirtualLoop(asyncio.BaseEventLoop):
    """No sockets, no threads, no clock. Of what is ready at one moment, the dice say what runs first.

    Without `dice` it is first come, first served, as asyncio has it.
    """

    _ready: Any  # which asyncio keeps for itself: its own loops are made of it

    def __init__(self, dice: Random | None = None, *, callbacks_limit_count: int = CALLBACKS_LIMIT_COUNT) -> None:
        super().__init__()
        self._seconds = 0.0
        self._dice = dice
        self._left_count = callbacks_limit_count
        # When, and which was set first: two timers for one moment go off in that order.
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_count = 0

    def time(self) -> float:
        return self._seconds

    def jump(self, seconds: float) -> None:
        """As for a machine that slept: all that was due meanwhile is due at once."""
        self._seconds += seconds

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._seconds + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        self._timers_count += 1
        heapq.heappush(self._timers, (when, self._timers_count, timer))
        return timer

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not ready:
            if not timers:
                raise Stalled
            self._seconds = max(self._seconds, timers[0][0])
        while timers and timers[0][0] <= self._seconds:
            ready.append(heapq.heappop(timers)[2])
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
