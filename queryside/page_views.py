"""Which product pages are looked at: counted in memory, handed on once a second, never waited for by a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from queryside import background

PRODUCTS_LIMIT_COUNT: Final = 2_000
FLUSH_SECONDS: Final = 1.0
PUT_TIMEOUT_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)


class PageViewSink(Protocol):
    async def put(self, counts: Mapping[str, int], at: datetime) -> None:
        """Takes what was seen up to `at`; SKU -> how often. May raise anything: it is lost then."""


class PageViewRecorder:
    """Keeps counts of at most `products_limit_count` products between two flushes.

    Under more load than that it samples: products that come too late in a second are dropped, and so is what the sink
    does not take. `dropped_count` says how many views that were. Without a sink nothing is recorded.
    """

    def __init__(
        self,
        sink: PageViewSink | None,
        *,
        products_limit_count: int = PRODUCTS_LIMIT_COUNT,
        flush_seconds: float = FLUSH_SECONDS,
        put_timeout_seconds: float = PUT_TIMEOUT_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.recorded_count = 0
        self.dropped_count = 0
        self.sink = sink
        self._products_limit_count = products_limit_count
        self._flush_seconds = flush_seconds
        self._put_timeout_seconds = put_timeout_seconds
        self._now = now
        self._counts: dict[str, int] = {}
        self._is_failing = False
        self._flushing: asyncio.Task[None] | None = None

    def seen(self, sku: str) -> None:
        """One more view. Never fails."""
        if self.sink is None:
            return
        count = self._counts.get(sku, 0)
        if count == 0 and len(self._counts) >= self._products_limit_count:
            self.dropped_count += 1
        else:
            self._counts[sku] = count + 1

    async def __aenter__(self) -> Self:
        if self.sink is not None:
            self._flushing = asyncio.create_task(self._keep_flushing(self.sink), name="page-views")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await background.end(self._flushing)
        if self.sink is not None:
            await self._flush(self.sink)

    async def _keep_flushing(self, sink: PageViewSink) -> None:
        while True:
            await asyncio.sleep(self._flush_seconds)
            await self._flush(sink)

    async def _flush(self, sink: PageViewSink) -> None:
        counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            async with asyncio.timeout(self._put_timeout_seconds):
                await sink.put(counts, self._now())
        except Exception as error:  # whatever it is, it must not be the page's trouble
            self.dropped_count += sum(counts.values())
            if not self._is_failing:
                _log.warning("page_views_are_dropped", error=repr(error))
            self._is_failing = True
        else:
            self.recorded_count += sum(counts.values())
            self._is_failing = False
