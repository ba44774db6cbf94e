"""The query API. Who calls, and how errors look, is the business of the process that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from queryside.api import cart, inventory, order_events, orders, products, search, suggest
from queryside.api.freshness import Freshness
from queryside.order_changes import STAY_SECONDS, OrderChanges, OrderLog
from queryside.page_views import PageViewRecorder, PageViewSink
from queryside.product_pages import ProductPages
from queryside.search.engine import SearchEngine
from queryside.views import Views

WAIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Readers:
    """What the answers are read from. `page_views` is told which products were looked at, if anybody is to know."""

    views: Views
    search: SearchEngine
    order_log: OrderLog
    page_views: PageViewSink | None = None


def create_app(
    readers: AbstractAsyncContextManager[Readers],
    *,
    currency: str = "GBP",
    wait_seconds: float = WAIT_SECONDS,
    stay_seconds: float = STAY_SECONDS,
) -> FastAPI:
    """The application; it opens `readers` when it starts and closes them when it ends.

    `wait_seconds` is how long a query waits for its Min-Position or Min-Version, `stay_seconds` how long one may look
    on while an order changes, `currency` that of an empty cart.
    Handlers read `request.state.caller` (Caller) and raise QueryError: the process that serves this sees to both.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with readers as opened:
            app.state.views = opened.views
            app.state.search = opened.search
            async with (
                PageViewRecorder(opened.page_views) as app.state.page_views,
                aclosing(ProductPages(opened.views)) as app.state.product_pages,
                aclosing(
                    Freshness(opened.views, {"search": opened.search.position}, timeout_seconds=wait_seconds)
                ) as app.state.freshness,
                aclosing(
                    OrderChanges(opened.views, opened.order_log, stay_seconds=stay_seconds)
                ) as app.state.order_changes,
            ):
                yield

    # The page at /docs is the business of the process too: the framework's own loads its parts from the internet.
    app = FastAPI(title="Counterfoil queries", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.currency = currency
    app.add_route(products.PATH, products.get_product, methods=["GET"], include_in_schema=False)
    for router in (cart.router, orders.router, order_events.router, inventory.router, search.router, suggest.router):
        app.include_router(router)
    _document(app, [products.DOCUMENTED])
    return app


def _document(app: FastAPI, plain_routes: list[APIRoute]) -> None:
    """Puts routes on the OpenAPI page that FastAPI does not serve itself."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            page = get_openapi(title=app.title, version=app.version, routes=[*plain_routes, *app.routes])
            order_events.describe(page)
            app.openapi_schema = page
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
