from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Response
from pydantic import Field
from uuid_utils.compat import uuid7

from commandside.api.answering import (
    CallerDep,
    ContextDep,
    Operator,
    WriteSideDep,
    answer,
    order_id_of,
    problems,
    seen_by,
)
from commandside.api.errors import ApiError
from commandside.api.json_body import JsonRoute
from commandside.api.shapes import OrderAnswer, ReturnRequested
from commandside.commands import (
    CancelOrder,
    DeliverShipment,
    PackShipment,
    ReceiveReturn,
    RequestReturn,
    ShipShipment,
)
from commandside.commands.fields import Identifier, ItemField, Line, ShortLine, Strictly
from commandside.event_store import StoreUnavailable
from commandside.handlers import orders
from commandside.handlers.context import Answer
from commandside.payments.port import ProviderError
from commandside.write_side import WriteSide
from commandside.writer import Busy, Committed, Contended

router = APIRouter(
    tags=["orders"], responses=problems(400, 401, 403, 404, 409, 412, 413, 422, 503), route_class=JsonRoute
)


class Cancellation(Strictly):
    reason: Line | None = None


class Dispatch(Strictly):
    carrier: ShortLine
    tracking_number: ShortLine


class ReturnWanted(Strictly):
    items: Annotated[tuple[ItemField, ...], Field(min_length=1, max_length=1_000)]
    reason: Line


class Nothing(Strictly):
    pass


@router.post("/v1/orders/{order_id}/cancel", response_model=OrderAnswer)
async def cancel(
    order_id: str,
    write_side: WriteSideDep,
    caller: CallerDep,
    context: ContextDep,
    body: Annotated[Cancellation | None, Body()] = None,
) -> Response:
    wanted = order_id_of(order_id)
    command = CancelOrder(order_id=wanted, owner=seen_by(caller), reason=body.reason if body else None)
    try:
        if await write_side.saga.withdraw(wanted, command.owner, command.reason, context):
            context = replace(
                context, expected_version=None
            )  # it was current, and has been changed since by this request
    except ProviderError as error:
        detail = "The payment provider does not say whether it charged: try again."
        raise ApiError(503, "payments-unavailable", detail, retry_after_seconds=5) from error
    return await _after_refund(write_side, wanted, await write_side.execute(orders.cancel_order, command, context))


@router.post("/v1/orders/{order_id}/shipments/{shipment_id}/pack", response_model=OrderAnswer, dependencies=[Operator])
async def pack(
    order_id: str,
    shipment_id: Identifier,
    write_side: WriteSideDep,
    context: ContextDep,
    body: Annotated[Nothing | None, Body()] = None,
) -> Response:
    command = PackShipment(order_id=order_id_of(order_id), shipment_id=shipment_id)
    return answer(await write_side.execute(orders.pack_shipment, command, context))


@router.post("/v1/orders/{order_id}/shipments/{shipment_id}/ship", response_model=OrderAnswer, dependencies=[Operator])
async def ship(
    order_id: str, shipment_id: Identifier, body: Dispatch, write_side: WriteSideDep, context: ContextDep
) -> Response:
    command = ShipShipment(order_id=order_id_of(order_id), shipment_id=shipment_id, **dict(body))
    return answer(await write_side.execute(orders.ship_shipment, command, context))


@router.post(
    "/v1/orders/{order_id}/shipments/{shipment_id}/deliver", response_model=OrderAnswer, dependencies=[Operator]
)
async def deliver(
    order_id: str,
    shipment_id: Identifier,
    write_side: WriteSideDep,
    context: ContextDep,
    body: Annotated[Nothing | None, Body()] = None,
) -> Response:
    command = DeliverShipment(order_id=order_id_of(order_id), shipment_id=shipment_id)
    return answer(await write_side.execute(orders.deliver_shipment, command, context))


@router.post("/v1/orders/{order_id}/returns", status_code=201, response_model=ReturnRequested)
async def request_return(
    order_id: str, body: ReturnWanted, write_side: WriteSideDep, caller: CallerDep, context: ContextDep
) -> Response:
    command = RequestReturn(
        order_id=order_id_of(order_id),
        owner=seen_by(caller),
        return_id=str(uuid7()),
        items=body.items,
        reason=body.reason,
    )
    return answer(await write_side.execute(orders.request_return, command, context), 201)


@router.post("/v1/orders/{order_id}/returns/{return_id}/receive", response_model=OrderAnswer, dependencies=[Operator])
async def receive_return(
    order_id: str,
    return_id: Identifier,
    write_side: WriteSideDep,
    context: ContextDep,
    body: Annotated[Nothing | None, Body()] = None,
) -> Response:
    """Restocks the goods and pays the money back."""
    wanted = order_id_of(order_id)
    command = ReceiveReturn(order_id=wanted, return_id=return_id)
    return await _after_refund(write_side, wanted, await write_side.execute(orders.receive_return, command, context))


async def _after_refund(write_side: WriteSide, order_id: UUID, done: Committed[Answer]) -> Response:
    await write_side.capturing.move_now(order_id)
    try:
        return answer(await write_side.writer.execute(lambda aggregates: orders.current_order(aggregates, order_id)))
    except (StoreUnavailable, Busy, Contended):  # what was asked for is done, and told as it was then
        return answer(done)
