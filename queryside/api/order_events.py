from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from queryside.api.caller import caller_of
from queryside.api.freshness import MinVersion, fresh_views, number_in
from queryside.api.orders import canonical, readable_order
from queryside.api.parameters import only
from queryside.api.problems import problems
from queryside.errors import InvalidQuery
from queryside.order_changes import OrderChange, OrderChanges

router = APIRouter(tags=["orders"])
COME_AGAIN_MILLISECONDS = 3_000
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The `id` of the last event that the caller has, a version. Without it: from the first on.",
        pattern=r"^[0-9]{1,19}$",
    ),
]


async def looking_on(
    request: Request, order_id: str, last_event_id: LastEventId = None, min_version: MinVersion = None
) -> AsyncIterator[AsyncIterator[OrderChange]]:
    """All that can be refused is refused in here, before the answer begins."""
    changes: OrderChanges = request.app.state.order_changes
    await readable_order(request, order_id)
    canonical_id = canonical(order_id)
    version = number_in(request, "Last-Event-ID") or 0
    with changes.place(caller_of(request).owner or "") as until:
        # What was missed has no name in here: it would be kept for as long as the caller looks on.
        yield changes.follow(canonical_id, await _missed(changes, canonical_id, version), version, until)


async def _missed(changes: OrderChanges, order_id: str, version: int) -> list[OrderChange]:
    """Raises InvalidQuery where the order never had that version."""
    # One more than is asked for, the last one seen: that it is there shows that it was this order's.
    found = await changes.so_far(order_id, max(version - 1, 0))
    if not version:
        return found
    if not (found and found[0].version == version):
        raise InvalidQuery("Last-Event-ID", "is not one of this order's")
    return found[1:]


@router.get(
    "/v1/orders/{order_id}/events",
    summary="An order's changes, from the first on and then live",
    response_class=EventSourceResponse,
    responses={200: {"description": "The changes, one after another"}, **problems(404, 422, 429, 503)},
    dependencies=[Depends(only()), Depends(fresh_views("order"))],
)
async def follow_order(
    coming: Annotated[AsyncIterator[OrderChange], Depends(looking_on)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events, for who may see the order. The `id` of each is the order's version after the change; its
    data are `{"change", "order"}`: what happened (`order.placed`, `order.shipment_shipped`, …), and the order as it was
    then, as `GET /v1/orders/{order_id}` shows it. A comment comes where nothing happens for 15 seconds. The answer ends
    after a time (a quarter of an hour, unless the shop has set another), and when the server stops: whoever asks again
    with the last `id` as Last-Event-ID has missed nothing.
    """
    yield ServerSentEvent(retry=COME_AGAIN_MILLISECONDS)
    async for change in coming:
        data = f'{{"change":"{change.name}","order":{change.order.decode()}}}'
        yield ServerSentEvent(id=str(change.version), raw_data=data)


def describe(page: dict[str, Any]) -> None:
    """Says on the OpenAPI page what an event is like: the framework's own words for it are those of OpenAPI 3.2."""
    change = {
        "type": "object",
        "required": ["change", "order"],
        "properties": {
            "change": {"type": "string", "examples": ["order.placed"]},
            "order": {"$ref": "#/components/schemas/Order"},
        },
    }
    event = {
        "type": "object",
        "description": "Each event of the answer.",
        "required": ["data", "id"],
        "properties": {
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": change},
            "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The order's version"},
        },
    }
    answer = page["paths"]["/v1/orders/{order_id}/events"]["get"]["responses"]["200"]
    answer["content"] = {"text/event-stream": {"schema": event}}
