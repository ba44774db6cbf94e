"""Waiting for numbers to grow: one look for all who ask at once, one poll for all who wait, none while nobody does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from queryside import background
from queryside.errors import NotThereInTime, StoreUnavailable, TooManyWaiting

K = TypeVar("K", bound=Hashable)


class Waiting(Generic[K]):
    """`read` gives the present number of each key.

    Whoever asks is shown the present number first, and only who has to wait for more takes a place: at most
    `waiters_limit_count` wait at once, at most `looks_limit_keys` keys are looked up at once. A number that is more
    than `ahead_limit_count` beyond the present one is not waited for: nothing grows that much in the time. Polls come
    `poll_seconds` after one another, and take no more than `polling_share` of the time: where looking is slow they
    come less often, but every `pause_limit_seconds` at least.
    """

    def __init__(
        self,
        read: Callable[[Sequence[K]], Awaitable[Sequence[int]]],
        *,
        timeout_seconds: float,
        look_timeout_seconds: float = 5.0,
        poll_seconds: float = 0.01,
        polling_share: float = 0.5,
        pause_limit_seconds: float = 1.0,
        waiters_limit_count: int = 1_000,
        looks_limit_keys: int = 4_096,
        ahead_limit_count: int = 100_000,
    ) -> None:
        self._read = read
        self._timeout_seconds = timeout_seconds
        self._look_timeout_seconds = look_timeout_seconds
        self._poll_seconds = poll_seconds
        self._polling_share = polling_share
        self._pause_limit_seconds = pause_limit_seconds
        self._waiters_limit_count = waiters_limit_count
        self._looks_limit_keys = looks_limit_keys
        self._ahead_limit_count = ahead_limit_count
        self._looked_up: dict[K, asyncio.Future[int]] = {}
        self._looker: asyncio.Task[None] | None = None
        self._waiters: dict[asyncio.Future[None], tuple[K, int]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def until(self, key: K, at_least: int) -> None:
        """Returns when the key's number is `at_least` that.

        Raises NotThereInTime (at once where it is too far ahead), TooManyWaiting, StoreUnavailable, and what `read`
        raises.
        """
        present = await self._look_up(key)
        if present >= at_least:
            return
        if at_least - present > self._ahead_limit_count:
            detail = f"The view is more than {self._ahead_limit_count} short of {at_least}."
            raise NotThereInTime(detail, wanted=at_least)
        if len(self._waiters) >= self._waiters_limit_count:
            raise TooManyWaiting(f"{self._waiters_limit_count} requests wait for the views to catch up.")
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[reached] = (key, at_least)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await reached
        except TimeoutError:
            raise NotThereInTime(
                f"The view did not come to {at_least} within {self._timeout_seconds:g} seconds.", wanted=at_least
            ) from None
        finally:
            del self._waiters[reached]

    async def aclose(self) -> None:
        """Nothing is read any more when this returns; to be called when nobody asks any more."""
        await background.end(self._poller, self._looker)

    async def _poll(self) -> None:
        while self._waiters:
            keys = list(dict.fromkeys(key for key, _ in self._waiters.values()))
            began = time.monotonic()
            try:
                numbers = dict(zip(keys, await self._read(keys), strict=True))
            except Exception as error:  # whatever it is, it is the answer for those who wait
                for reached in self._open():
                    reached.set_exception(error)
            else:
                for reached in self._open():
                    key, at_least = self._waiters[reached]
                    if numbers.get(key, -1) >= at_least:
                        reached.set_result(None)
            pause_seconds = (time.monotonic() - began) * (1 / self._polling_share - 1)
            await asyncio.sleep(max(self._poll_seconds, min(pause_seconds, self._pause_limit_seconds)))

    def _open(self) -> list[asyncio.Future[None]]:
        return [reached for reached in self._waiters if not reached.done()]

    async def _look_up(self, key: K) -> int:
        """The present number: read after this was called, in one go for all who ask while another is being read."""
        number = self._looked_up.get(key)
        if number is None:
            if len(self._looked_up) >= self._looks_limit_keys:
                raise TooManyWaiting(f"{self._looks_limit_keys} views are being looked up.")
            number = self._looked_up[key] = asyncio.get_running_loop().create_future()
            if self._looker is None or self._looker.done():
                self._looker = asyncio.create_task(self._look())
        # Not a part of the wait: what is there must not seem late because the process is busy. `read` has its own
        # bounds, and this is the one behind them.
        try:
            async with asyncio.timeout(self._look_timeout_seconds):
                # One who goes away must not take the number from the others.
                return await asyncio.shield(number)
        except TimeoutError:
            raise StoreUnavailable("How far the views are cannot be read at present.") from None

    async def _look(self) -> None:
        while self._looked_up:
            asked, self._looked_up = self._looked_up, {}
            try:
                numbers = await self._read(list(asked))
            except Exception as error:  # whatever it is, it is the answer for those who asked
                for number in asked.values():
                    number.set_exception(error)
                    number.exception()  # seen, even if all who asked have gone away
            else:
                for number, found in zip(asked.values(), numbers, strict=True):
                    number.set_result(found)
