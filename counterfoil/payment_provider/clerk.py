"""The one who writes the books: a thread of their own, so that no disk ever holds up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from counterfoil.payment_provider.books import Books

LONGEST_IDLE_SECONDS: Final = 60.0

P = ParamSpec("P")
T = TypeVar("T")


class Clerk:
    """Works through calls to `books` one after another, in the order in which they came.

    How many can wait is bounded by how many requests the server takes at once.
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="books")
        self._work_promised = asyncio.Event()

    async def do(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work(...)`, a method of the books. Cancelling the caller does not undo it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def expect_work(self) -> None:
        """Something under way may be due sooner than `settle_forever` thinks."""
        self._work_promised.set()

    async def settle_forever(self, on_settled: Callable[[], None]) -> None:
        """Give what is under way its outcome when it is due, what an earlier process left included.

        `on_settled` is called whenever there may be webhooks to deliver.
        """
        while True:
            self._work_promised.clear()
            next_due = await self.do(self.books.settle_due, time.time())
            on_settled()
            await wait(self._work_promised, LONGEST_IDLE_SECONDS if next_due is None else next_due - time.time())

    def close(self) -> None:
        self._thread.shutdown()
        self.books.close()


async def wait(event: asyncio.Event, timeout_seconds: float) -> None:
    """Until `event` is set or `timeout_seconds` have passed, whichever comes first; never longer than a minute."""
    try:
        async with asyncio.timeout(min(max(timeout_seconds, 0), LONGEST_IDLE_SECONDS)):
            await event.wait()
    except TimeoutError:
        return
