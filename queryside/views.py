"""Reads the views that the projections keep in Valkey."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import redis.exceptions
from redis.asyncio import Redis

from projections.availability import Availability, availability
from projections.cart import CartView
from projections.generations import VIEW_NAMES, ViewName, live_keys
from projections.keys import GENERATIONS, Keys
from projections.product_page import ProductPage
from projections.stock_level import StockLevel
from projections.views import read_level
from queryside.errors import StoreUnavailable

__all__ = ["Product", "StoredOrder", "StoredProduct", "VersionOf", "ViewName", "Views"]

SWAPS_LIMIT_COUNT: Final = 4
_Live = Mapping[ViewName, Keys]
_Command = tuple[Any, ...]
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
    """Every method raises StoreUnavailable when Valkey does not answer in time.

    What is read is of the generations that are live (projections/generations.py). Which they are is asked for in the
    same round trip, after all else: if they are still those that were read, the answer stands; else it is read again.
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client
        none: list[bytes | None] = [None] * len(VIEW_NAMES)
        self._live: tuple[list[bytes | None], _Live] = (none, live_keys(none))

    async def ping(self) -> None:
        await self._ask(lambda _: [("PING",)])

    async def stored_products(self, product_ids: Sequence[str]) -> list[StoredProduct | None]:
        """In the order of the ids, None where there is no such product. One round trip."""

        def commands(live: _Live) -> list[_Command]:
            found: list[_Command] = []
            products, stock = live["product"], live["stock"]
            for product_id in product_ids:
                found.append(("HMGET", products.product(product_id), "body", "kind"))
                found.append(("HGET", stock.stock(product_id), "available"))
            return found

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
        (fields,) = await self._ask(lambda live: [("HGETALL", live["stock"].stock(sku))])
        return {name[1:].decode(): read_level(value) for name, value in sorted(fields.items()) if name.startswith(b"@")}

    async def cart(self, cart_id: str) -> CartView | None:
        (body,) = await self._ask(lambda live: [("HGET", live["cart"].cart(cart_id), "body")])
        return None if body is None else _decode_cart(body)

    async def orders(self, order_ids: Sequence[str]) -> list[StoredOrder | None]:
        """In the order of the ids, None where there is no such order. One round trip."""
        answers = await self._ask(
            lambda live: [
                ("HMGET", live["order"].order(order_id), "body", "version", "owner") for order_id in order_ids
            ]
        )
        return [None if body is None else StoredOrder(body, int(v), owner.decode()) for body, v, owner in answers]

    async def order_entries(self, owner: str, before: str | None, limit: int) -> list[str]:
        """Of this owner's orders `limit` entries, newest first, from just below the entry `before` on."""
        newest = "+" if before is None else f"({before}"
        (entries,) = await self._ask(
            lambda live: [("ZRANGE", live["order"].orders(owner), newest, "-", "BYLEX", "REV", "LIMIT", 0, limit)]
        )
        return [entry.decode() for entry in entries]

    async def positions(self, views: Sequence[ViewName]) -> list[int]:
        """How far each view has followed the log: as far as the last of its partitions."""
        answers = await self._ask(lambda live: [("HVALS", live[view].checkpoint(view)) for view in views])
        return [min(map(int, partitions), default=0) for partitions in answers]

    async def versions(self, streams: Sequence[VersionOf]) -> list[int]:
        """The version each view holds; 0 where there is none, or none of that owner."""
        answers = await self._ask(
            lambda live: [("HMGET", _key(live, stream), "version", "owner") for stream in streams]
        )
        return [
            int(version) if version and (stream.owner is None or owner == stream.owner.encode()) else 0
            for stream, (version, owner) in zip(streams, answers, strict=True)
        ]

    async def _ask(self, commands: Callable[[_Live], Sequence[_Command]]) -> list[Any]:
        with _answering():
            for _ in range(SWAPS_LIMIT_COUNT):
                held, keys = self._live
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for command in commands(keys):
                        pipeline.execute_command(*command)
                    pipeline.execute_command("HMGET", GENERATIONS, *VIEW_NAMES)
                    *answers, live = await pipeline.execute()
                if live == held:
                    return answers
                self._live = (live, live_keys(live))
        raise StoreUnavailable("What is shown here is being replaced too often to be read.")


def _key(live: _Live, stream: VersionOf) -> str:
    keys = live[stream.view]
    match stream.view:
        case "product":
            return keys.product(stream.id)
        case "cart":
            return keys.cart(stream.id)
        case "order":
            return keys.order(stream.id)


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
