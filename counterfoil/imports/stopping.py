"""Ctrl-C ends an import between two steps."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Stopping = Callable[[], bool]


def never() -> bool:
    return False


@contextmanager
def asked_to_stop() -> Iterator[Stopping]:
    """True once SIGINT or SIGTERM has come. A second one ends it at once, which does no harm either."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    current = asyncio.current_task()

    def ask() -> None:
        if asked.is_set() and current is not None:
            current.cancel()
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    try:
        yield asked.is_set
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
