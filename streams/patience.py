"""What to do when a store does not answer: try again, for a while, and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import psycopg
import psycopg_pool
import redis.exceptions
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from commandside.event_store.errors import StoreUnavailable

T = TypeVar("T")
_log = structlog.get_logger(__name__)

# Of the store, not of what was asked of it. A store that is full or only just promoted takes writes again later.
TRANSIENT: tuple[type[Exception], ...] = (
    StoreUnavailable,
    OSError,
    psycopg.OperationalError,
    psycopg_pool.PoolTimeout,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
)


@dataclass(slots=True)
class Patience:
    """Tries again with growing pauses. `trouble` says what is wrong now, None when the last attempt succeeded.

    After `outage_limit_seconds` of one outage the last error is raised.
    """

    name: str
    noted: Callable[[], None]
    first_pause_seconds: float = 0.05
    longest_pause_seconds: float = 2.0
    outage_limit_seconds: float = 300.0
    trouble: str | None = None

    async def until_done(self, operation: Callable[[], Awaitable[T]]) -> T:
        """What `operation` returns, once it does not fail for want of a store. It must be repeatable."""
        try:
            result = await operation()
        except TRANSIENT as error:
            self._note(error, attempt_number=1)
            await asyncio.sleep(self.first_pause_seconds)
            result = await self._try_again(operation)
        _heed_cancellation()
        if self.trouble is not None:
            _log.info("store_answers_again", projection=self.name)
            self.trouble = None
        return result

    async def _try_again(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Only once it failed: these are two dozen objects that refer to each other, and most operations succeed.

        Made for each of them they are garbage by the ten thousand, and collecting it stops all for a tenth of a second.
        """
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(TRANSIENT),
            wait=wait_exponential(multiplier=self.first_pause_seconds * 2, max=self.longest_pause_seconds)
            + wait_random(0, self.first_pause_seconds),
            stop=stop_after_delay(self.outage_limit_seconds),
            before_sleep=self._note_attempt,
            reraise=True,
        )

        async def attempt() -> T:
            return await operation()

        result: T = await attempts(attempt)
        return result

    def _note_attempt(self, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        self._note(error, attempt_number=attempt.attempt_number + 1)

    def _note(self, error: BaseException | None, attempt_number: int) -> None:
        _heed_cancellation()
        self.trouble = f"{type(error).__name__}: {error}"
        self.noted()
        _log.warning("store_unavailable", projection=self.name, attempt=attempt_number, error=self.trouble)


def _heed_cancellation() -> None:
    """A client that is cancelled may come back with its store's error, or with a result. It is the end all the same."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
