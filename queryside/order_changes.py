"""Looking on while an order changes: what happened to it so far, and then each change as it comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from queryside.errors import NotThereInTime, QueryError, TooManyOfYours, TooManyWaiting
from queryside.views import VersionOf, Views
from queryside.waiting import Waiting

STAY_SECONDS = 900.0
# While Valkey is away each order that is looked at is a replay: others who ask have more need of Postgres.
POLLING_SHARE = 0.1
LOOK_LIMIT_ORDERS = 100
READ_LIMIT_CHANGES = 50
READS_AT_ONCE_LIMIT_COUNT = 4


@dataclass(frozen=True, slots=True)
class OrderChange:
    """`name` is the event's topic without its version (`order.placed`); `order` the order as it made it, in JSON."""

    version: int
    name: str
    order: bytes


class OrderLog(Protocol):
    async def order_changes(self, order_id: str, after_version: int, limit: int) -> list[OrderChange]:
        """Oldest first, `limit` at most; none where there is no such order. Raises StoreUnavailable, TooManyWaiting."""
        ...


class OrderChanges:
    """One look at the views every `poll_seconds`, or less often where looking is slow, tells for all who look on
    whether their orders have changed; the log is read only where one has.

    At most `onlookers_limit_count` look on at once, `callers_onlookers_limit_count` for one caller, and each for
    `stay_seconds`: then it has to come again, with a token that is still good. The log is read for few of them at a
    time: the others wait for their turn, also when all their orders have changed.
    """

    def __init__(
        self,
        views: Views,
        log: OrderLog,
        *,
        stay_seconds: float = STAY_SECONDS,
        poll_seconds: float = 0.1,
        onlookers_limit_count: int = 1_000,
        callers_onlookers_limit_count: int = 32,
    ) -> None:
        self._log = log
        self._stay_seconds = stay_seconds
        self._views = views
        self._versions: Waiting[VersionOf] = Waiting(
            self._look,
            timeout_seconds=stay_seconds,
            poll_seconds=poll_seconds,
            polling_share=POLLING_SHARE,
            waiters_limit_count=onlookers_limit_count,
        )
        self._onlookers_limit_count = onlookers_limit_count
        self._callers_onlookers_limit_count = callers_onlookers_limit_count
        self._onlookers: Counter[str] = Counter()
        self._reading = asyncio.Semaphore(READS_AT_ONCE_LIMIT_COUNT)
        self._stays: set[asyncio.Timeout] = set()
        self._ended = False

    @property
    def onlookers_count(self) -> int:
        return self._onlookers.total()

    @contextmanager
    def place(self, caller: str) -> Iterator[float]:
        """A place among those who look on, and until when (in the event loop's time). Raises TooManyWaiting, and
        TooManyOfYours.
        """
        if self.onlookers_count >= self._onlookers_limit_count:
            raise TooManyWaiting(f"{self._onlookers_limit_count} look on already.")
        if self._onlookers[caller] >= self._callers_onlookers_limit_count:
            raise TooManyOfYours(f"You look on {self._callers_onlookers_limit_count} times already.")
        self._onlookers[caller] += 1
        try:
            yield asyncio.get_running_loop().time() + self._stay_seconds
        finally:
            self._onlookers[caller] -= 1
            if not self._onlookers[caller]:
                del self._onlookers[caller]

    async def so_far(self, order_id: str, after_version: int) -> list[OrderChange]:
        """Beyond that version, the oldest READ_LIMIT_CHANGES of them. Raises what the log does."""
        async with self._reading:
            return await self._log.order_changes(order_id, after_version, READ_LIMIT_CHANGES)

    async def follow(
        self, order_id: str, coming: list[OrderChange], version: int, until: float
    ) -> AsyncIterator[OrderChange]:
        """`coming`, which follow on that version, and then each change as it comes. Ends when the time is over, and
        when what is looked at cannot be read at present.
        """
        while True:
            for change in coming:
                if self.is_over(until):
                    return
                yield change
                version = change.version
            try:
                coming = await self.next(order_id, version, until)
            except QueryError:
                return  # the answer has begun: whoever looks on comes again, and is told then
            if not coming:
                return

    async def next(self, order_id: str, after_version: int, until: float) -> list[OrderChange]:
        """Waits for changes beyond that version. None have come when the time is over, or all are sent away.

        Raises TooManyWaiting and StoreUnavailable.
        """
        if self.is_over(until):
            return []
        try:
            async with asyncio.timeout_at(until) as stay:
                self._stays.add(stay)
                try:
                    await self._versions.until(VersionOf("order", order_id), after_version + 1)
                    return await self.so_far(order_id, after_version)
                finally:
                    self._stays.discard(stay)
        except (TimeoutError, NotThereInTime):
            return []

    def is_over(self, until: float) -> bool:
        return self._ended or asyncio.get_running_loop().time() >= until

    def send_away(self) -> None:
        """Tells all who wait that it is over, and whoever comes: the server stops."""
        self._ended = True
        for stay in self._stays:
            if not stay.expired():
                stay.reschedule(0)

    async def aclose(self) -> None:
        """Nothing is read any more when this returns."""
        self.send_away()
        await self._versions.aclose()

    async def _look(self, orders: Sequence[VersionOf]) -> list[int]:
        versions: list[int] = []
        for start in range(0, len(orders), LOOK_LIMIT_ORDERS):
            versions += await self._views.versions(orders[start : start + LOOK_LIMIT_ORDERS])
        return versions
