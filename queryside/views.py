"""Reads the views that the projections keep in Valkey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis.exceptions
from redis.asyncio import Redis

from projections.availability import Availability, availability
from projections.cart import CartView
from projections.keys import Keys
from projections.product_page import ProductPage
from projections.stock_level import StockLevel
from projections.views import read_level
from queryside.errors import StoreUnavailable

ViewName = Literal["product", "stock", "cart", "order"]
_decode_cart = msgspec.json.Decoder(CartView).decode
_decode_page = msgspec.json.Decoder(ProductPage).decode


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """A product as it is stored: `body` is JSON without the availability."""

    body: bytes
    availability: Availability


@dataclass(frozen=True, slots=True)
class Product:
    page: ProductPage
    availability: Availability


@dataclass(frozen=True, slots=True)
class StoredOrder:
    body: bytes
    version: int
    owner: str


@dataclass(frozen=True, slots=True)
class VersionOf:
    """The stream whose version is asked for. `owner` limits an order to that owner; None: whosever it is."""

    view: Literal["product", "cart", "order"]
    id: str
    owner: str | None = None


class Views:
    """Every method raises StoreUnavailable when Valkey does not answer in time."""

    def __init__(self, client: Redis, keys: Keys | None = None) -> None:
        self._redis = client
        self._keys = keys or Keys()

    async def ping(self) -> None:
        await self._ask([("PING",)])

    async def stored_products(self, product_ids: Sequence[str]) -> list[StoredProduct | None]:
        """In the order of the ids, None where there is no such product. One round trip."""
        commands: list[tuple[Any, ...]] = []
        for product_id in product_ids:
            commands.append(("HMGET", self._keys.product(product_id), "body", "kind"))
            commands.append(("HGET", self._keys.stock(product_id), "available"))
        answers = await self._ask(commands)
        products = zip(answers[::2], answers[1::2], strict=True)
        return [_stored_product(body, kind, available) for (body, kind), available in products]

    async def products(self, product_ids: Sequence[str]) -> dict[str, Product]:
        """Those there are."""
        stored = zip(product_ids, await self.stored_products(product_ids), strict=True)
        return {
            product_id: Product(_decode_page(product.body), product.availability)
            for product_id, product in stored
            if product is not None
        }

    async def stock(self, sku: str) -> dict[str, StockLevel]:
        """By warehouse, those that ever had any."""
        (fields,) = await self._ask([("HGETALL", self._keys.stock(sku))])
        return {name[1:].decode(): read_level(value) for name, value in sorted(fields.items()) if name.startswith(b"@")}

    async def cart(self, cart_id: str) -> CartView | None:
        (body,) = await self._ask([("HGET", self._keys.cart(cart_id), "body")])
        return None if body is None else _decode_cart(body)

    async def orders(self, order_ids: Sequence[str]) -> list[StoredOrder | None]:
        """In the order of the ids, None where there is no such order. One round trip."""
        answers = await self._ask(
            [("HMGET", self._keys.order(order_id), "body", "version", "owner") for order_id in order_ids]
        )
        return [None if body is None else StoredOrder(body, int(v), owner.decode()) for body, v, owner in answers]

    async def order_entries(self, owner: str, before: str | None, limit: int) -> list[str]:
        """Of this owner's orders `limit` entries, newest first, from just below the entry `before` on."""
        newest = "+" if before is None else f"({before}"
        (entries,) = await self._ask(
            [("ZRANGE", self._keys.orders(owner), newest, "-", "BYLEX", "REV", "LIMIT", 0, limit)]
        )
        return [entry.decode() for entry in entries]

    async def positions(self, views: Sequence[ViewName]) -> list[int]:
        """How far each view has followed the log: as far as the last of its partitions."""
        answers = await self._ask([("HVALS", self._keys.checkpoint(view)) for view in views])
        return [min(map(int, partitions), default=0) for partitions in answers]

    async def versions(self, streams: Sequence[VersionOf]) -> list[int]:
        """The version each view holds; 0 where there is none, or none of that owner."""
        answers = await self._ask([("HMGET", self._key(stream), "version", "owner") for stream in streams])
        return [
            int(version) if version and (stream.owner is None or owner == stream.owner.encode()) else 0
            for stream, (version, owner) in zip(streams, answers, strict=True)
        ]

    def _key(self, stream: VersionOf) -> str:
        match stream.view:
            case "product":
                return self._keys.product(stream.id)
            case "cart":
                return self._keys.cart(stream.id)
            case "order":
                return self._keys.order(stream.id)

    async def _ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        with _answering():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()


def _stored_product(body: bytes | None, kind: bytes | None, available: bytes | None) -> StoredProduct | None:
    if body is None:
        return None
    return StoredProduct(body, availability("service" if kind == b"service" else "goods", int(available or 0)))


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.exceptions.RedisError, OSError) as error:
        raise StoreUnavailable("What is shown here cannot be read at present.") from error
