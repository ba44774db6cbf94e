from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from redis.asyncio import Redis

from projections.cart import CartView
from projections.generations import VIEW_NAMES
from projections.stock_level import StockLevel
from queryside.errors import StoreUnavailable, TooManyWaiting
from queryside.fallback.breaker import Breaker, CircuitOpen
from queryside.fallback.replay import Replay
from queryside.views import StoredOrder, StoredProduct, VersionOf, ViewName, Views

T = TypeVar("T")


class FallbackViews(Views):
    """Views in Valkey, and while that does not answer, made by replay: products, carts and single orders.

    After an outage Valkey is read again once its views hold what was known here when it was first tried: it may have
    come back with less than it had. The list of a customer's orders has no stream: it is there when Valkey is.
    """

    def __init__(self, client: Redis, replay: Replay, *, make_breaker: Callable[..., Breaker] = Breaker) -> None:
        super().__init__(client)
        self._replay = replay
        self._missed_position: int | None = None
        self.breaker = make_breaker("valkey", (StoreUnavailable,), self._is_back)

    async def stored_products(self, product_ids: Sequence[str]) -> list[StoredProduct | None]:
        return await self._either(
            lambda: super(FallbackViews, self).stored_products(product_ids), lambda: self._replay.products(product_ids)
        )

    async def stock(self, sku: str) -> dict[str, StockLevel]:
        return await self._either(lambda: super(FallbackViews, self).stock(sku), lambda: self._replay.stock(sku))

    async def cart(self, cart_id: str) -> CartView | None:
        return await self._either(lambda: super(FallbackViews, self).cart(cart_id), lambda: self._replay.cart(cart_id))

    async def orders(self, order_ids: Sequence[str]) -> list[StoredOrder | None]:
        async def replayed() -> list[StoredOrder | None]:
            return list(await asyncio.gather(*(self._replay.order(order_id) for order_id in order_ids)))

        return await self._either(lambda: super(FallbackViews, self).orders(order_ids), replayed)

    async def order_entries(self, owner: str, before: str | None, limit: int) -> list[str]:
        async def cannot() -> list[str]:
            raise StoreUnavailable("The list of orders cannot be read at present; each single order can.")

        return await self._either(lambda: super(FallbackViews, self).order_entries(owner, before, limit), cannot)

    async def positions(self, views: Sequence[ViewName]) -> list[int]:
        async def known() -> list[int]:
            return [await self._replay.position()] * len(views)

        return await self._either(lambda: super(FallbackViews, self).positions(views), known)

    async def versions(self, streams: Sequence[VersionOf]) -> list[int]:
        async def replayed() -> list[int]:
            return list(await asyncio.gather(*(self._version(stream) for stream in streams)))

        return await self._either(lambda: super(FallbackViews, self).versions(streams), replayed)

    async def _version(self, stream: VersionOf) -> int:
        match stream.view:
            case "product":
                product = await self._replay.product(stream.id)
                return product.version if product else 0
            case "cart":
                cart = await self._replay.cart(stream.id)
                return cart.version if cart else 0
            case "order":
                order = await self._replay.order(stream.id)
                return order.version if order and stream.owner in (None, order.owner) else 0

    async def _either(self, read: Callable[[], Awaitable[T]], replay: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self.breaker.call(read)
        except (StoreUnavailable, CircuitOpen):
            return await replay()

    async def _is_back(self) -> bool:
        held_position = min(await super().positions(VIEW_NAMES))
        if self._missed_position is None:
            try:
                self._missed_position = await self._replay.position()
            except (StoreUnavailable, TooManyWaiting):
                return True  # Postgres is down, too: what Valkey has is better than nothing
        if held_position < self._missed_position:
            return False
        self._missed_position = None
        return True
