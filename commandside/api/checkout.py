from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from uuid_utils.compat import uuid7

from commandside.api.answering import IF_MATCH, Caller, context_of, parameters, problems, respond
from commandside.api.errors import ApiError
from commandside.api.idempotency import idempotency_key, key_of
from commandside.api.lean import LeanRoute
from commandside.api.shapes import OrderAnswer, PendingOrder
from commandside.commands import CheckOut, CheckoutFields
from commandside.write_side import WriteSide
from domain.errors import EmptyCart

router = APIRouter(tags=["checkout"], route_class=LeanRoute)
_responses: dict[int | str, dict[str, Any]] = {
    202: {"model": PendingOrder, "description": "The provider has not answered yet"},
    **problems(400, 401, 402, 409, 412, 413, 415, 422, 503),
}
_responses[409]["description"] = (
    "The state of things does not allow it, and `type` says why: `insufficient-stock`, `quantity-limit`, "
    "`price-changed`, `total-limit`, `product-unavailable`, `empty-cart`; `in-progress` while the first request with "
    "the key runs; `idempotency-key-expired`: the key made the order `order_id`, its answer is no longer kept, and it "
    "never buys again"
)


@router.post(
    "/v1/checkout",
    status_code=201,
    response_model=OrderAnswer,
    responses=_responses,
    openapi_extra=parameters(idempotency_key(required=True), IF_MATCH),
)
async def check_out(request: Request, body: CheckoutFields) -> Response:
    """If-Match is the version of the cart. The same key and body again: the same answer, for as long as the shop keeps
    it. After that a key that was refused begins anew, and one that bought is refused.
    """
    context = await context_of(request, request.headers.get("if-match"))
    caller: Caller = request.state.caller
    write_side: WriteSide = request.app.state.write_side
    key = key_of(request)
    if key is None:
        raise ApiError(400, "idempotency-key-missing", "A checkout needs the header Idempotency-Key.")
    if caller.owner is None:
        raise EmptyCart
    command = CheckOut(owner=caller.owner, idempotency_key=key, order_id=uuid7(), wanted=body)
    told = await write_side.saga.check_out(command, context)
    headers = {}
    if told.status in (201, 202):  # the order is read from the query API, which is another server
        headers["Location"] = f"{request.app.state.query_url}/v1/orders/{told.order_id}"
    if told.replayed:
        headers["Idempotent-Replayed"] = "true"
    version = told.version if told.status in (201, 202) else None
    return respond(told.status, told.body, version, told.position, **headers)
