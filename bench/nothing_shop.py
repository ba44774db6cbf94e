"""What HTTP and the payment provider alone allow: the reference shop's routes and answers, with nothing stored at all.

No cart outlives the process, no stock is reserved, no key remembered. A shop on the same web framework, however it
stores what it sells, comes below it: this is the roof over `checkout.vs_reference_shop`.

    PROVIDER_URL=… PORT=… SESSION_SECRET=… python -m bench.nothing_shop
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Cookie, FastAPI, Header, Response
from itsdangerous import URLSafeTimedSerializer
from uuid_utils.compat import uuid7

from bench.reference_shop import (
    COOKIE,
    COOKIE_LIFE_SECONDS,
    CURRENCY,
    Captures,
    answer,
    cart,
    guest_id,
    order,
    problem,
    serve,
)
from commandside.commands.checkout import CheckoutFields
from commandside.commands.fields import ItemField
from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import Authorised, Captured, Payment
from domain.values import Money

PRICE_MINOR = 1_999
CARTS_LIMIT_COUNT = 100_000


def create_app(provider_url: str, session_secret: str) -> FastAPI:
    provider = HttpPaymentProvider(provider_url)
    captures = Captures(provider)
    sessions = URLSafeTimedSerializer(session_secret, salt="nothing.session")
    carts: dict[str, list[dict[str, Any]]] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with provider:
            yield
            await captures.drain()

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/cart/items")
    async def add_item(body: ItemField, cf_session: Annotated[str | None, Cookie()] = None) -> Response:
        known = guest_id(sessions, cf_session)
        owner = known or secrets.token_urlsafe(18)
        while len(carts) >= CARTS_LIMIT_COUNT:
            del carts[next(iter(carts))]
        lines = carts.setdefault(owner, [])
        line = {"sku": body.product_id, "title": f"A {body.product_id}", "quantity": body.quantity}
        lines.append({**line, "price": PRICE_MINOR, "cart_id": owner, "version": len(lines) + 1})
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
        lines = carts.pop(guest_id(sessions, cf_session) or "", [])
        if not lines:
            return problem(409, "empty-cart")
        order_id, total = uuid7(), sum(line["price"] * line["quantity"] for line in lines)
        payment = Payment(str(order_id), Money(total, CURRENCY), body.payment_token, str(order_id))
        outcome = await provider.authorise(payment)
        if not isinstance(outcome, Authorised):
            return problem(402, "payment-declined")
        await captures.begin(payment, note_capture)
        address = body.shipping_address.model_dump()
        return answer(201, order(order_id, lines, total, outcome.reference, address, datetime.now(UTC)))

    async def note_capture(captured: Captured, order_id: str) -> None:
        """Nothing is stored here."""

    return app


if __name__ == "__main__":
    serve(create_app(os.environ["PROVIDER_URL"], os.environ["SESSION_SECRET"]), int(os.environ["PORT"]))
