from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from queryside.api import models
from queryside.api.caller import caller_of
from queryside.api.conditional import answer
from queryside.api.freshness import MinVersion, fresh_views, wait_for_version
from queryside.api.parameters import Parameters, only
from queryside.api.problems import problems
from queryside.errors import InvalidQuery, NotFound
from queryside.views import StoredOrder, VersionOf, Views

router = APIRouter(tags=["orders"])
_CURSOR_LIMIT_CHARACTERS = 100
_ENTRY = re.compile(r"[0-9]{16}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class Page(Parameters):
    cursor: Annotated[
        str | None, Field(max_length=_CURSOR_LIMIT_CHARACTERS, description="next_cursor of the page before")
    ] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


@router.get(
    "/v1/orders",
    summary="The caller's orders",
    response_model=models.OrderList,
    responses=problems(422, 503),
    dependencies=[Depends(only("cursor", "limit")), Depends(fresh_views("order"))],
)
async def list_orders(request: Request, page: Annotated[Page, Query()]) -> Response:
    """Newest first. Orders that come in while one pages do not shift the pages."""
    views: Views = request.app.state.views
    before, limit = None if page.cursor is None else _entry(page.cursor), page.limit
    owner = caller_of(request).owner
    entries = [] if owner is None else await views.order_entries(owner, before, limit + 1)
    shown = entries[:limit]
    orders = await views.orders([_order_id(entry) for entry in shown]) if shown else []
    next_cursor = _cursor(shown[-1]) if len(entries) > limit else None
    # Written together with its entry: an order that is listed is there.
    bodies = b",".join(order.body for order in orders if order is not None)
    body = b'{"orders":[%b],"next_cursor":%b}' % (bodies, msgspec.json.encode(next_cursor))
    return Response(body, media_type="application/json", headers={"cache-control": "private, no-cache"})


@router.get(
    "/v1/orders/{order_id}",
    summary="An order, with its shipments and tracking",
    response_model=models.Order,
    responses={304: {"description": "Not Modified"}, **problems(404, 422, 503)},
    dependencies=[Depends(only()), Depends(fresh_views("order"))],
)
async def get_order(request: Request, order_id: str, min_version: MinVersion = None) -> Response:
    """For its owner, and for operators; nobody else is told that it exists."""
    order = await readable_order(request, order_id)
    return answer(request, order.body, f'"{order.version}"', "private, no-cache")


async def readable_order(request: Request, order_id: str) -> StoredOrder:
    """The order, at least at the caller's Min-Version. Raises NotFound, also where it is somebody else's."""
    views: Views = request.app.state.views
    caller = caller_of(request)
    anyones = "operator" in caller.roles
    canonical_id = canonical(order_id)
    if caller.owner is None and not anyones:
        raise NotFound("order", order_id)
    await wait_for_version(request, VersionOf("order", canonical_id, None if anyones else caller.owner))
    (order,) = await views.orders([canonical_id])
    if order is None or not (anyones or order.owner == caller.owner):
        raise NotFound("order", order_id)
    return order


def canonical(order_id: str) -> str:
    try:
        return str(UUID(order_id))
    except ValueError:
        raise NotFound("order", order_id) from None


def _cursor(entry: str) -> str:
    return urlsafe_b64encode(entry.encode()).decode().rstrip("=")


def _entry(cursor: str) -> str:
    try:
        entry = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        entry = ""
    if _ENTRY.fullmatch(entry) is None:
        raise InvalidQuery("cursor", "is not one that this list gave")
    return entry


def _order_id(entry: str) -> str:
    return entry.partition(":")[2]
