"""The shop that ours is compared with: FastAPI and psycopg on tables, as good as we could write it.

The same steps and guarantees as ours: carts that last, stock that is reserved under concurrency and never oversold, an
answer kept for every Idempotency-Key, an order with its lines, its payment and an outbox row of what happened. The
provider holds the money between two transactions, and takes it after the second, while the shopper is answered; a third
notes that. Each step is one prepared statement: one round trip and one commit. What a crash leaves unfinished it does
not take up again, and it keeps no history.

    DATABASE_URL=… PROVIDER_URL=… PORT=… SESSION_SECRET=… python -m bench.reference_shop
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import psycopg
import uvicorn
from fastapi import Cookie, FastAPI, Header, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import UUID, uuid7

from bench.references.shop_statements import (
    ADD_TO_CART,
    ANSWER_GIVEN,
    CAPTURE,
    DECLINE,
    KEEP_ANSWER,
    PLACE,
    START_CHECKOUT,
)
from commandside.commands.checkout import CheckoutFields
from commandside.commands.fields import ItemField
from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import Authorised, Captured, Declined, Payment, PaymentProvider
from domain.values import Money

# 4 were slower, 32 no faster than 8 to 16.
POOL_SIZE_CONNECTIONS: Final = 12
WAIT_TIMEOUT_SECONDS: Final = 30.0
COOKIE_LIFE_SECONDS: Final = 30 * 24 * 3_600
COOKIE: Final = "cf_session"
CURRENCY: Final = "GBP"
CONNECTIONS_LIMIT_COUNT: Final = 12_000
CAPTURES_LIMIT_COUNT: Final = 256

Pool = AsyncConnectionPool[psycopg.AsyncConnection[dict[str, Any]]]


def create_app(database_url: str, provider_url: str, session_secret: str) -> FastAPI:
    set_json_dumps(msgspec.json.encode)
    set_json_loads(msgspec.json.decode)
    pool: Pool = AsyncConnectionPool(
        database_url,
        min_size=POOL_SIZE_CONNECTIONS,
        max_size=POOL_SIZE_CONNECTIONS,
        timeout=WAIT_TIMEOUT_SECONDS,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        open=False,
    )
    provider = HttpPaymentProvider(provider_url)
    captures = Captures(provider)
    sessions = URLSafeTimedSerializer(session_secret, salt="reference.session")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool, provider:
            await pool.wait()
            yield
            await captures.drain()

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        await fetch("SELECT 1 AS alive", ())
        return {"status": "ready"}

    @app.post("/v1/cart/items")
    async def add_item(body: ItemField, cf_session: Annotated[str | None, Cookie()] = None) -> Response:
        known = guest_id(sessions, cf_session)
        owner = known or secrets.token_urlsafe(18)
        lines = await fetch(ADD_TO_CART, (body.product_id, body.quantity, owner, uuid7()))
        if not lines:
            return problem(409, "insufficient-stock")
        response = answer(200, cart(lines))
        if known is None:
            cookie = f"{COOKIE}={sessions.dumps(owner)}; Max-Age={COOKIE_LIFE_SECONDS}; Path=/; HttpOnly; SameSite=Lax"
            response.headers["Set-Cookie"] = cookie
        return response

    @app.post("/v1/checkout")
    async def check_out(
        body: CheckoutFields,
        idempotency_key: Annotated[str, Header(max_length=255)],
        cf_session: Annotated[str | None, Cookie()] = None,
    ) -> Response:
        owner = guest_id(sessions, cf_session)
        if owner is None:
            return problem(409, "empty-cart")
        fingerprint = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
        order_id, at = uuid7(), datetime.now(UTC)
        address = body.shipping_address.model_dump()
        given = (owner, idempotency_key, fingerprint, order_id, at, Jsonb(address), body.payment_token)
        try:
            lines = await fetch(START_CHECKOUT, given)
        except psycopg.errors.CheckViolation:
            await keep(owner, idempotency_key, fingerprint, order_id, 409, b'{"type":"/problems/insufficient-stock"}')
            return problem(409, "insufficient-stock")
        if not lines:
            return await told_before(owner, idempotency_key, fingerprint, order_id)
        total = sum(line["price"] * line["quantity"] for line in lines)
        payment = Payment(str(order_id), Money(total, CURRENCY), body.payment_token, str(order_id))
        match await provider.authorise(payment):
            case Authorised(reference):
                told = msgspec.json.encode(order(order_id, lines, total, reference, address, at))
                await fetch(PLACE, (order_id, reference, datetime.now(UTC), owner, idempotency_key, told))
                await captures.begin(payment, note_capture)
                return Response(told, 201, media_type="application/json")
            case Declined(reason):
                told = msgspec.json.encode({"type": "/problems/payment-declined", "reason": reason})
                await fetch(DECLINE, (order_id, reason, datetime.now(UTC), owner, idempotency_key, told))
                return Response(told, 402, media_type="application/problem+json")
        return answer(202, {"order_id": str(order_id), "status": "pending_payment"})

    async def note_capture(captured: Captured, order_id: str) -> None:
        await fetch(CAPTURE, (order_id, captured.amount.amount, datetime.now(UTC)))

    async def told_before(owner: str, key: str, fingerprint: str, order_id: UUID) -> Response:
        """The key is known, or there is nothing to check out."""
        for told in await fetch(ANSWER_GIVEN, (owner, key)):
            if told["fingerprint"] != fingerprint:
                return problem(422, "idempotency-key-reused")
            if told["status"] is None:
                return problem(409, "in-progress")
            replayed = {"Idempotent-Replayed": "true"}
            return Response(bytes(told["body"]), told["status"], replayed, media_type="application/json")
        await keep(owner, key, fingerprint, order_id, 409, b'{"type":"/problems/empty-cart"}')
        return problem(409, "empty-cart")

    async def keep(owner: str, key: str, fingerprint: str, order_id: UUID, status: int, body: bytes) -> None:
        await fetch(KEEP_ANSWER, (owner, key, fingerprint, order_id, status, body))

    async def fetch(statement: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        async with pool.connection() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()

    return app


class Captures:
    """Takes what is held while the shoppers are answered; whoever comes beyond the limit is kept waiting."""

    def __init__(self, provider: PaymentProvider) -> None:
        self._provider = provider
        self._places = asyncio.Semaphore(CAPTURES_LIMIT_COUNT)
        self._under_way: set[asyncio.Task[None]] = set()

    async def begin(self, payment: Payment, note: Callable[[Captured, str], Awaitable[None]]) -> None:
        await self._places.acquire()
        task = asyncio.create_task(self._take(payment, note))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    async def drain(self) -> None:
        await asyncio.gather(*self._under_way)

    async def _take(self, payment: Payment, note: Callable[[Captured, str], Awaitable[None]]) -> None:
        outcome = await self._provider.capture(payment, payment.amount)
        if not isinstance(outcome, Captured):
            raise RuntimeError(f"what was held of order {payment.order_id} could not be taken: {outcome.reason}")
        await note(outcome, payment.order_id)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._places.release()


def guest_id(sessions: URLSafeTimedSerializer, cookie: str | None) -> str | None:
    if cookie is None:
        return None
    try:
        return str(sessions.loads(cookie, max_age=COOKIE_LIFE_SECONDS))
    except BadSignature:
        return None


def cart(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cart_id": str(lines[0]["cart_id"]),
        "version": lines[0]["version"],
        "items": items(lines),
        "subtotal": money(sum(line["price"] * line["quantity"] for line in lines)),
        "warnings": [],
    }


def order(
    order_id: UUID, lines: list[dict[str, Any]], total: int, reference: str, address: dict[str, Any], at: datetime
) -> dict[str, Any]:
    placed_at = at.isoformat()
    return {
        "order_id": str(order_id),
        "version": 2,
        "status": "placed",
        "items": items(lines),
        "subtotal": money(total),
        "shipping_fee": money(0),
        "tax": money(0),
        "total": money(total),
        "payment": {"status": "authorised", "reference": reference},
        "shipping_address": address,
        "placed_at": placed_at,
        "history": [{"status": status, "at": placed_at} for status in ("pending_payment", "placed")],
    }


def items(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "product_id": line["sku"],
            "title": line["title"],
            "quantity": line["quantity"],
            "unit_price": money(line["price"]),
            "line_total": money(line["price"] * line["quantity"]),
        }
        for line in lines
    ]


def money(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": CURRENCY}


def answer(status: int, body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def problem(status: int, slug: str) -> Response:
    body = {"type": f"/problems/{slug}", "status": status}
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")


def serve(app: FastAPI, port: int) -> None:
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS_LIMIT_COUNT,
        server_header=False,
    )


if __name__ == "__main__":
    shop = create_app(os.environ["DATABASE_URL"], os.environ["PROVIDER_URL"], os.environ["SESSION_SECRET"])
    serve(shop, int(os.environ["PORT"]))
