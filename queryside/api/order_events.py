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
from queryside.errors import InvalidQuery, QueryError
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


class LookingOn:
    """A caller with a place, what it has not seen yet, and until when it may stay."""

    def __init__(self, changes: OrderChanges, order_id: str, missed: list[OrderChange], version: int, until: float):
        self._changes = changes
        self._order_id = order_id
        self._missed = missed
        self._version = version
        self._until = until

    async def events(self) -> AsyncIterator[OrderChange]:
        """Ends when its time is over, and when what is looked at cannot be read at present."""
        coming, self._missed = self._missed, []  # a page of an order is large: none is kept once it is sent
        while True:
            for change in coming:
                if self._changes.is_over(self._until):
                    return
                yield change
                self._version = change.version
            try:
                coming = await self._changes.next(self._order_id, self._version, self._until)
            except QueryError:
                return  # the answer has begun: whoever looks on comes again, and is told then
            if not coming:
                return


async def looking_on(
    request: Request, order_id: str, last_event_id: LastEventId = None, min_version: MinVersion = None
) -> AsyncIterator[LookingOn]:
    """All that can be refused is refused in here, before the answer begins."""
    changes: OrderChanges = request.app.state.order_changes
    await readable_order(request, order_id)
    canonical_id = canonical(order_id)
    version = number_in(request, "Last-Event-ID") or 0
    with changes.place(caller_of(request).owner or "") as until:
        # One more than is asked for, the last one seen: that it is there shows that it was this order's.
        missed = await changes.so_far(canonical_id, max(version - 1, 0))
        if version and not (missed and missed[0].version == version):
            raise InvalidQuery("Last-Event-ID", "is not one of this order's")
        yield LookingOn(changes, canonical_id, missed[1:] if version else missed, version, until)


@router.get(
    "/v1/orders/{order_id}/events",
    summary="An order's changes, from the first on and then live",
    response_class=EventSourceResponse,
    responses={200: {"description": "The changes, one after another"}, **problems(404, 422, 429, 503)},
    dependencies=[Depends(only()), Depends(fresh_views("order"))],
)
async def follow_order(looking_on: Annotated[LookingOn, Depends(looking_on)]) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events, for who may see the order. The `id` of each is the order's version after the change; its
    data are `{"change", "order"}`: what happened (`order.placed`, `order.shipment_shipped`, …), and the order as it was
    then, as `GET /v1/orders/{order_id}` shows it. A comment comes where nothing happens for 15 seconds. The answer ends
    after a time (a quarter of an hour, unless the shop has set another), and when the server stops: whoever asks again
    with the last `id` as Last-Event-ID has missed nothing.
    """
    yield ServerSentEvent(retry=COME_AGAIN_MILLISECONDS)
    async for change in looking_on.events():
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
