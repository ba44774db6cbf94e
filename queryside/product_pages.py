"""The hot read: many shoppers ask at once, and Valkey is asked once for all of them."""

from __future__ import annotations

import asyncio
from hashlib import blake2b

import msgspec

from queryside import background
from queryside.errors import TooManyWaiting
from queryside.views import StoredProduct, Views

_encode = msgspec.json.Encoder().encode
_ETAG_BYTES = 12


class ProductPages:
    """While one round trip is under way the ids that are asked for gather, each once, and go into the next."""

    def __init__(self, views: Views, *, batch_size_products: int = 128, waiting_limit_products: int = 4_096) -> None:
        self._views = views
        self._batch_size_products = batch_size_products
        self._waiting_limit_products = waiting_limit_products
        self._wanted: dict[str, asyncio.Future[StoredProduct | None]] = {}
        self._fetching: asyncio.Task[None] | None = None

    async def get(self, product_id: str) -> bytes | None:
        """The page as JSON, None when there is no such product. Raises StoreUnavailable, TooManyWaiting."""
        answer = self._wanted.get(product_id)
        if answer is None:
            if len(self._wanted) >= self._waiting_limit_products:
                raise TooManyWaiting(f"{self._waiting_limit_products} product pages are being waited for.")
            answer = self._wanted[product_id] = asyncio.get_running_loop().create_future()
            if self._fetching is None or self._fetching.done():
                self._fetching = asyncio.create_task(self._fetch())
        # A shopper who goes away must not take the answer from the others.
        product = await asyncio.shield(answer)
        return None if product is None else page(product)

    async def aclose(self) -> None:
        """Nothing is read any more when this returns; to be called when nobody asks any more."""
        await background.end(self._fetching)

    async def _fetch(self) -> None:
        while self._wanted:
            batch = [(i, self._wanted.pop(i)) for i in list(self._wanted)[: self._batch_size_products]]
            try:
                products = await self._views.stored_products([product_id for product_id, _ in batch])
            except Exception as error:  # whatever it is, it is the answer for those who wait
                for _, answer in batch:
                    answer.set_exception(error)
                    answer.exception()  # seen, even if all who asked have gone away
            else:
                for (_, answer), product in zip(batch, products, strict=True):
                    answer.set_result(product)


def page(product: StoredProduct) -> bytes:
    """The stored JSON object with the availability as its last member: no parsing."""
    return b"%b,%b}" % (product.body[:-1], b'"availability":' + _encode(product.availability))


def etag(body: bytes) -> str:
    return f'"{blake2b(body, digest_size=_ETAG_BYTES).hexdigest()}"'
