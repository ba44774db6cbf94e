from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0  # of a machine that has much else to do


async def eventually(
    ask: Callable[[], Awaitable[T]], accept: Callable[[T], bool], within_seconds: float = PATIENCE_SECONDS
) -> T:
    """The first answer of `ask` that `accept` takes; fails with the last one when none comes in time."""
    until = time.monotonic() + within_seconds
    while not accept(answer := await ask()):
        assert time.monotonic() < until, f"still {answer!r} after {within_seconds} s"
        await asyncio.sleep(0.02)
    return answer
