"""The command API: everything that changes anything comes in here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from commandside.api import audit, cart, catalogue, checkout, inventory, ledger, orders, page, webhooks
from commandside.api.lean import LeanRoute, Shortcut
from commandside.payments.webhook import WebhookReader
from commandside.write_side import WriteSide


def create_app(write_side: WriteSide, webhooks_of_payments: WebhookReader, query_url: str) -> FastAPI:
    """The bare API; whoever serves it identifies callers and renders problems (`TRANSLATIONS` in errors.py).

    `webhooks_of_payments` is that of the provider that `write_side` takes money through.
    `query_url` is where clients find the query API, without a slash at its end.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await write_side.start()
        try:
            yield
        finally:
            await write_side.stop()

    # The page at /docs is theirs too who serve this: the framework's own loads its parts from the internet.
    app = FastAPI(
        title="Counterfoil command API",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=page.operation_id,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # its own; ours are at /metrics
    )
    app.state.write_side = write_side
    app.state.webhooks = webhooks_of_payments
    app.state.query_url = query_url
    for part in (catalogue, inventory, cart, checkout, orders, ledger, webhooks, audit):
        app.include_router(part.router)
    app.include_router(cart.hot)
    app.openapi = lambda: page.openapi(app)  # type: ignore[method-assign]
    return app


def shortcut(framework: ASGIApp) -> Shortcut:
    """The two writes that a sale is made of, without the framework in their way."""
    routes = [*cart.hot.routes, *checkout.router.routes]
    return Shortcut(framework, [route for route in routes if isinstance(route, LeanRoute)])
