"""A client that knows nothing but the HTTP contract."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx

from tests.e2e.running_shop import RunningShop

ADDRESS = {"name": "Ada", "line1": "1 Lamp Lane", "city": "London", "postcode": "N1 9GU", "country": "GB"}
TIMEOUT_SECONDS = 30


class Client:
    """One person's browser: a guest, or signed in. Reads what it wrote, by the position that commands answer with."""

    def __init__(self, shop: RunningShop, sub: str | None = None, *roles: str) -> None:
        self._shop = shop
        # No certificates are loaded for addresses of this machine: that takes longer than all the rest.
        self._http = httpx.AsyncClient(trust_env=False, verify=False, timeout=TIMEOUT_SECONDS)  # noqa: S501
        self.position = 0
        if sub is not None:
            self.sign_in(sub, *roles)

    def sign_in(self, sub: str, *roles: str) -> None:
        self._http.headers.update(self._shop.token(sub, *roles))

    def sign_out(self) -> None:
        del self._http.headers["Authorization"]

    async def command(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self._shop.command_url + path
        answer = await self._http.request(method, url, json=body, headers=named)
        self.position = max(self.position, int(answer.headers.get("Counterfoil-Position", 0)))
        return answer

    async def query(self, path: str, **params: Any) -> httpx.Response:
        headers = {"Min-Position": str(self.position)} if self.position else {}
        url = urljoin(self._shop.query_url, path)  # a Location is absolute already
        until = time.monotonic() + TIMEOUT_SECONDS
        while True:
            answer = await self._http.get(url, params=params, headers=headers)
            if not is_to_be_asked_again(answer) or time.monotonic() > until:
                return answer
            await asyncio.sleep(0.1)

    async def check_out(self, key: str, token: str = "tok_ok", **more: Any) -> httpx.Response:
        body = {"shipping_address": ADDRESS, "payment_token": token, **more}
        return await self.command("POST", "/v1/checkout", body, Idempotency_Key=key)

    async def add(self, sku: str, quantity: int = 1) -> httpx.Response:
        return await self.command("POST", "/v1/cart/items", {"product_id": sku, "quantity": quantity})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()


def is_to_be_asked_again(answer: httpx.Response) -> bool:
    """What was written is not there yet: on a busy machine the two seconds that the shop waits for it may be over."""
    return answer.status_code == 503 and answer.json()["type"] == "/problems/not-there-in-time"


async def given_product(operator: Client, sku: str, *, price: int = 1999, stock: int = 0, **more: Any) -> None:
    body = {
        "sku": sku,
        "title": f"A {sku}",
        "category": ["Home"],
        "price": {"amount": price, "currency": "GBP"},
        **more,
    }
    assert (await operator.command("POST", "/v1/products", body)).status_code == 201
    if stock:
        received = {"warehouse_id": "main", "quantity": stock}
        answer = await operator.command("POST", f"/v1/inventory/{sku}/receive", received)
        assert answer.status_code == 200, answer.text
