"""The one who writes the books: a thread of their own, so that no disk ever holds up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast

from counterfoil.payment_provider.books import Books

LONGEST_IDLE_SECONDS: Final = 60.0
BATCH_SIZE_CALLS: Final = 256

P = ParamSpec("P")
T = TypeVar("T")


class Clerk:
    """Works through calls to `books` one after another, in the order in which they came.

    What comes in while the disk is waited for is written together, with one wait for all of it. How many can wait is
    bounded by how many requests the server takes at once. Belongs to the event loop in which it is first asked.
    """

    def __init__(self, books: Books) -> None:
        self.books = books
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="books")
        self._waiting: deque[_Call] = deque()  # unbounded: one per request, of which the server has a limit
        self._is_writing = False
        self._work_promised = asyncio.Event()

    async def do(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work(...)`, a method of the books. Cancelling the caller does not undo it."""
        result = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(lambda: work(*args, **kwargs), result))
        if not self._is_writing:
            self._write()
        return cast(T, await result)

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

    def _write(self) -> None:
        calls = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_SIZE_CALLS))]
        written = asyncio.get_running_loop().run_in_executor(
            self._thread, self.books.together, [call.work for call in calls]
        )
        written.add_done_callback(partial(self._tell, calls))
        self._is_writing = True

    def _tell(self, calls: list[_Call], written: asyncio.Future[list[Any]]) -> None:
        failure = written.exception()
        results = written.result() if failure is None else [failure] * len(calls)
        for call, result in zip(calls, results, strict=True):
            if call.result.done():
                continue  # who asked has gone
            if isinstance(result, BaseException):
                call.result.set_exception(result)
            else:
                call.result.set_result(result)
        self._is_writing = False
        if self._waiting:
            self._write()


class _Call(NamedTuple):
    work: Callable[[], Any]
    result: asyncio.Future[Any]


async def wait(event: asyncio.Event, timeout_seconds: float) -> None:
    """Until `event` is set or `timeout_seconds` have passed, whichever comes first; never longer than a minute."""
    try:
        async with asyncio.timeout(min(max(timeout_seconds, 0), LONGEST_IDLE_SECONDS)):
            await event.wait()
    except TimeoutError:
        return
