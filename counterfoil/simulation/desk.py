"""What the command API makes of a request, without HTTP: the same handlers, the same answers, the same refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from commandside.api.errors import TRANSLATIONS, ApiError
from commandside.commands import (
    AddProduct,
    AddToCart,
    AdjustStock,
    CancelOrder,
    ChangeProduct,
    ChangeQuantity,
    CheckOut,
    CheckoutFields,
    ClearCart,
    DeliverShipment,
    MergeCarts,
    PackShipment,
    ProductChanges,
    ReceiveReturn,
    ReceiveStock,
    RemoveFromCart,
    RequestReturn,
    ShipShipment,
)
from commandside.handlers import cart, catalogue, inventory, orders
from commandside.handlers.context import Answer, Context
from commandside.payments.port import ProviderError
from commandside.write_side import WriteSide
from commandside.writer import Committed
from domain.values import Cause

ADDRESS: Final = {
    "name": "A. Shopper",
    "line1": "1 High Street",
    "city": "York",
    "postcode": "YO1 1AA",
    "country": "GB",
}


@dataclass(frozen=True, slots=True)
class Request:
    """`owner` is who asks, and whose cart it is; `fields` are the command's own. `order_id` is what would be made."""

    id: str
    kind: str
    owner: str
    fields: Mapping[str, Any]
    order_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client reads. `version` and `position` are the headers ETag and Counterfoil-Position."""

    status: int
    body: dict[str, Any]
    version: int | None = None
    position: int | None = None
    replayed: bool = False


async def serve(write_side: WriteSide, request: Request) -> Reply:
    """Never raises: what nobody expected is a 500, as at the API's outermost layer."""
    actor = request.owner if request.owner != "operator" else "operator:pat"
    context = Context(Cause(write_side.clock(), actor, request.id, request.id))
    try:
        return await _SERVED[request.kind](write_side, request, context)
    except Exception as error:
        return _refusal(error)


def _refusal(error: Exception) -> Reply:
    for kind in type(error).__mro__:
        if kind in TRANSLATIONS:
            told = TRANSLATIONS[kind](error)
            body = {"type": f"/problems/{told.slug}", "status": told.status, "detail": told.detail, **told.figures}
            return Reply(told.status, body)
    return Reply(500, {"type": "/problems/internal-error", "fault": repr(error)})


def _told(committed: Committed[Answer], status: int = 200) -> Reply:
    return Reply(status, committed.result.body, committed.result.version, committed.position)


def _in_shop(handler: Any, command: Any) -> Callable[[WriteSide, Request, Context], Awaitable[Reply]]:
    async def served(write_side: WriteSide, request: Request, context: Context) -> Reply:
        wanted = command(owner=request.owner, **request.fields)
        return _told(await write_side.execute_in_shop(handler, wanted, context))

    return served


def _plain(handler: Any, command: Any) -> Callable[[WriteSide, Request, Context], Awaitable[Reply]]:
    async def served(write_side: WriteSide, request: Request, context: Context) -> Reply:
        return _told(await write_side.execute(handler, command(**request.fields), context))

    return served


async def _change_product(write_side: WriteSide, request: Request, context: Context) -> Reply:
    fields = dict(request.fields)
    command = ChangeProduct(sku=fields.pop("sku"), changes=ProductChanges(**fields))
    return _told(await write_side.execute(catalogue.change_product, command, context))


async def _check_out(write_side: WriteSide, request: Request, context: Context) -> Reply:
    fields = dict(request.fields)
    key = fields.pop("idempotency_key")
    assert request.order_id is not None
    wanted = CheckoutFields(shipping_address=ADDRESS, **fields)
    command = CheckOut(owner=request.owner, idempotency_key=key, order_id=request.order_id, wanted=wanted)
    told = await write_side.saga.check_out(command, context)
    return Reply(told.status, told.body, told.version, told.position, told.replayed)


async def _cancel(write_side: WriteSide, request: Request, context: Context) -> Reply:
    command = CancelOrder(order_id=request.fields["order_id"], owner=request.owner, reason="changed my mind")
    try:
        if await write_side.saga.withdraw(command.order_id, command.owner, command.reason, context):
            context = replace(context, expected_version=None)
    except ProviderError as error:
        raise ApiError(503, "payments-unavailable", "The payment provider does not say.") from error
    await write_side.execute(orders.cancel_order, command, context)
    return await _after_refund(write_side, command.order_id)


async def _request_return(write_side: WriteSide, request: Request, context: Context) -> Reply:
    command = RequestReturn(owner=request.owner, reason="not as expected", **request.fields)
    return _told(await write_side.execute(orders.request_return, command, context), 201)


async def _receive_return(write_side: WriteSide, request: Request, context: Context) -> Reply:
    command = ReceiveReturn(**request.fields)
    await write_side.execute(orders.receive_return, command, context)
    return await _after_refund(write_side, command.order_id)


async def _after_refund(write_side: WriteSide, order_id: UUID) -> Reply:
    await write_side.capturing.move_now(order_id)
    return _told(await write_side.writer.execute(lambda aggregates: orders.current_order(aggregates, order_id)))


_SERVED: Final[dict[str, Callable[[WriteSide, Request, Context], Awaitable[Reply]]]] = {
    "add": _in_shop(cart.add_to_cart, AddToCart),
    "change": _in_shop(cart.change_quantity, ChangeQuantity),
    "remove": _in_shop(cart.remove_from_cart, RemoveFromCart),
    "clear": _in_shop(cart.clear_cart, ClearCart),
    "merge": _in_shop(cart.merge_carts, MergeCarts),
    "check_out": _check_out,
    "cancel": _cancel,
    "return": _request_return,
    "add_product": _plain(catalogue.add_product, AddProduct),
    "change_product": _change_product,
    "receive": _plain(inventory.receive_stock, ReceiveStock),
    "adjust": _plain(inventory.adjust_stock, AdjustStock),
    "pack": _plain(orders.pack_shipment, PackShipment),
    "ship": _plain(orders.ship_shipment, ShipShipment),
    "deliver": _plain(orders.deliver_shipment, DeliverShipment),
    "receive_return": _receive_return,
}
