"""The whole command API in one process: real handlers, writer, saga and HTTP; store and provider in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx
import jwt
from prometheus_client import CollectorRegistry

from commandside.api import create_app, shortcut
from commandside.api.errors import TRANSLATIONS
from commandside.event_store import EventStore
from commandside.event_store.memory import MemoryEventStore
from commandside.payments.port import PaymentProvider
from commandside.payments.webhook import SIGNATURE_HEADER, sign
from counterfoil import wiring
from counterfoil.http.dress import dress
from counterfoil.settings import Settings
from domain.events import Recorded
from tests.fakes.payments import FakePaymentProvider

ADDRESS = {"name": "Ada", "line1": "1 Lamp Lane", "city": "London", "postcode": "N1 9GU", "country": "GB"}
JWT_SECRET = "a secret that is long enough for HS256, and for HS512 as well, where it is tried"
WEBHOOK_SECRET = "another secret, which is also long enough"

TOKEN_LIFE_SECONDS = 3_600


class CommandShop:
    def __init__(
        self,
        var: Path,
        clock: Callable[[], datetime],
        paid_by: PaymentProvider | None = None,
        stored_in: EventStore | None = None,
        **settings: Any,
    ) -> None:
        """`paid_by` takes the place of the provider in memory, `stored_in` of the store."""
        given = {"jwt_secret": JWT_SECRET, "webhook_secret": WEBHOOK_SECRET, "var": var, **settings}
        given.setdefault("checkout_answer_within_seconds", 2.0)
        # The circuit goes by real time, of which these tests take none: those that are about it set it.
        given.setdefault("payments_failures_to_open", 1_000)
        self.settings = Settings(**given)
        self.clock = clock
        self.store = MemoryEventStore()
        self.provider = FakePaymentProvider(timeout_seconds=0.5, webhook_delay_seconds=0.05, now=clock)
        self.write_side = wiring.write_side(
            self.settings,
            stored_in or self.store,
            paid_by or self.provider,
            clock,
            probe=getattr(paid_by or self.provider, "is_ready", None),
        )
        self.app = dress(
            create_app(self.write_side, wiring.payment_webhooks(self.settings), self.settings.query_base_url),
            self.settings,
            TRANSLATIONS,
            {},
            {},
            CollectorRegistry(),
            front=shortcut,
        )
        self.operator = self.client(sub="olga", roles=["operator"])

    @asynccontextmanager
    async def running(self, *, resume: bool = False) -> AsyncIterator[Self]:
        # The sweeper is driven by most tests, at the times that they choose.
        await self.write_side.start(resume=resume)
        try:
            yield self
        finally:
            await self.write_side.stop()

    def client(self, sub: str | None = None, roles: list[str] | None = None, **claims: Any) -> httpx.AsyncClient:
        """A shopper's browser: signed in as `sub`, or a guest. Keeps its cookies."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://shop", timeout=30)
        if sub is not None:
            claims = {"sub": sub, "roles": roles or [], "exp": int(time.time()) + TOKEN_LIFE_SECONDS, **claims}
            token = jwt.encode(claims, JWT_SECRET, algorithm="HS256")
            client.headers["Authorization"] = f"Bearer {token}"
        return client

    async def given_product(self, sku: str, *, price: int = 1000, stock: int = 0, warehouse: str = "main") -> None:
        body = {"sku": sku, "title": f"A {sku}", "category": ["Home"], "price": {"amount": price, "currency": "GBP"}}
        assert (await self.operator.post("/v1/products", json=body)).status_code == 201
        if stock:
            await self.given_stock(sku, stock, warehouse)

    async def given_stock(self, sku: str, quantity: int, warehouse: str = "main") -> None:
        body = {"warehouse_id": warehouse, "quantity": quantity}
        assert (await self.operator.post(f"/v1/inventory/{sku}/receive", json=body)).status_code == 200

    async def stock(self, sku: str, warehouse: str = "main") -> dict[str, Any]:
        found = (await self.operator.get(f"/v1/audit/stock/{sku}@{warehouse}")).json()["state"]
        return {name: found[name] for name in ("on_hand", "reserved", "committed", "available")}

    async def order(self, order_id: str) -> dict[str, Any]:
        audited = await self.operator.get(f"/v1/audit/order/{order_id}")
        state: dict[str, Any] = audited.json()["state"]
        return state

    async def deliver_webhook(self, event: bytes) -> httpx.Response:
        headers = {SIGNATURE_HEADER: sign(event, WEBHOOK_SECRET, self.clock())}
        return await self.client().post("/v1/webhooks/payments", content=event, headers=headers)

    def log(self) -> list[Recorded]:
        return self.store.log()

    def topics(self, after: int) -> list[str]:
        return [recorded.event.TOPIC for recorded in self.store.log(after)]


async def fill_cart(client: httpx.AsyncClient, sku: str = "LAMP", quantity: int = 1) -> httpx.Response:
    answer = await client.post("/v1/cart/items", json={"product_id": sku, "quantity": quantity})
    assert answer.status_code == 200, answer.text
    return answer


async def check_out(
    client: httpx.AsyncClient, key: str, token: str = "tok_ok", *, if_match: str | None = None, **more: Any
) -> httpx.Response:
    body = {"shipping_address": ADDRESS, "payment_token": token, **more}
    headers = {"Idempotency-Key": key} | ({} if if_match is None else {"If-Match": if_match})
    return await client.post("/v1/checkout", json=body, headers=headers)
