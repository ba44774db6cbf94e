"""Views made from their streams, in the moment they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg_pool import PoolTimeout, TooManyRequests

from projections import cart, order, product_page
from projections.availability import availability
from projections.cart import CartView
from projections.order import OrderView
from projections.product_page import ProductView
from projections.recorded import AnyEvent
from projections.stock_level import StockLevel
from projections.versions import Versioned
from projections.view_projection import Streams
from projections.vocabulary import product_stream
from queryside.errors import StoreUnavailable, TooManyWaiting
from queryside.fallback.shelves import Shelves
from queryside.order_changes import OrderChange
from queryside.views import StoredOrder, StoredProduct

V = TypeVar("V", bound=Versioned)
PAGE_LIMIT_EVENTS = 500
_OUTAGES = (psycopg.Error, PoolTimeout, TooManyRequests, OSError, TimeoutError)
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


class Replay:
    """At most `at_once_limit_count` streams are read at once, and `waiting_limit_count` wait to be: Postgres has more
    to do than this. Each method raises StoreUnavailable when Postgres does not answer in time, and TooManyWaiting.
    """

    def __init__(
        self,
        streams: Streams,
        shelves: Shelves,
        *,
        at_once_limit_count: int = 4,
        waiting_limit_count: int = 256,
        stream_limit_events: int = 10_000,
        timeout_seconds: float = 3.0,
    ) -> None:
        self._streams = streams
        self._shelves = shelves
        self._places = asyncio.Semaphore(at_once_limit_count)
        self._limit_count = at_once_limit_count + waiting_limit_count
        self._asked_count = 0
        self._stream_limit_events = stream_limit_events
        self._timeout_seconds = timeout_seconds

    async def products(self, skus: Sequence[str]) -> list[StoredProduct | None]:
        """In the order of the SKUs, None where there is no such product."""
        views = await asyncio.gather(*(self.product(sku) for sku in skus))
        there = [sku for sku, view in zip(skus, views, strict=True) if view is not None]
        if not there:
            return [None] * len(skus)
        async with self._place():
            levels = await self._shelves.levels(there)
        return [
            None
            if view is None
            else StoredProduct(
                _encode(view.page),
                availability(view.kind, sum(level.available for level in levels.get(sku, {}).values())),
            )
            for sku, view in zip(skus, views, strict=True)
        ]

    async def product(self, sku: str) -> ProductView | None:
        return await self._replayed(product_stream(sku), product_page.evolve, product_page.EVENT_TYPES)

    async def cart(self, cart_id: str) -> CartView | None:
        return await self._replayed(UUID(cart_id), cart.evolve, cart.EVENT_TYPES)

    async def order(self, order_id: str) -> StoredOrder | None:
        view: OrderView | None = await self._replayed(UUID(order_id), order.evolve, order.EVENT_TYPES)
        return None if view is None else StoredOrder(_encode(view.page), view.version, view.owner)

    async def order_changes(self, order_id: str, after_version: int, limit: int) -> list[OrderChange]:
        """Beyond that version, oldest first, `limit` at most; none where there is no such order."""
        changes: list[OrderChange] = []

        def note(event: AnyEvent, view: OrderView) -> None:
            if event.originator_version > after_version and len(changes) < limit:
                name = event.TOPIC.rpartition(".v")[0]
                changes.append(OrderChange(event.originator_version, name, _encode(view.page)))

        await self._replayed(UUID(order_id), order.evolve, order.EVENT_TYPES, note)
        return changes

    async def stock(self, sku: str) -> dict[str, StockLevel]:
        """By warehouse, those that ever had any."""
        async with self._place():
            return dict((await self._shelves.levels([sku])).get(sku, {}))

    async def position(self) -> int:
        """What is read here holds at least that: streams are read as they are, stock as far as it is known."""
        async with self._place():
            return await self._shelves.position()

    async def _replayed(
        self,
        stream_id: UUID,
        evolve: Callable[[V | None, AnyEvent], V],
        event_types: frozenset[type],
        note: Callable[[AnyEvent, V], None] | None = None,
    ) -> V | None:
        """The view, None where there is none; up to an event that cannot be applied. `note` is told of each event, and
        of the view that it made.
        """
        view: V | None = None
        version = 0
        async with self._place():
            while version < self._stream_limit_events:
                events = await self._streams.read_stream(stream_id, version, PAGE_LIMIT_EVENTS)
                for event in events:
                    if type(event) not in event_types:
                        return None  # the stream of something else: an order is asked for by any id
                    try:
                        view = evolve(view, event)
                    except Exception:  # the live views too stay what they were before it
                        _log.exception("cannot_be_applied", stream_id=str(stream_id), topic=event.TOPIC)
                        return view
                    if note is not None:
                        note(event, view)
                if len(events) < PAGE_LIMIT_EVENTS:
                    return view
                version = events[-1].originator_version
        raise StoreUnavailable(f"What is shown here has more than {self._stream_limit_events} events.")

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._asked_count >= self._limit_count:
            raise TooManyWaiting(f"{self._limit_count} streams are being read, or waited for.")
        self._asked_count += 1
        try:
            async with asyncio.timeout(self._timeout_seconds), self._places:
                yield
        except _OUTAGES as error:
            raise StoreUnavailable("What is shown here cannot be read at present.") from error
        finally:
            self._asked_count -= 1
