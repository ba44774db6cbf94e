from __future__ import annotations

from fastapi import APIRouter, Request, Response

from commandside.api.answering import (
    IF_MATCH,
    Caller,
    CallerDep,
    ContextDep,
    WriteSideDep,
    answer,
    context_of,
    parameters,
    problems,
)
from commandside.api.errors import ApiError
from commandside.api.json_body import JsonRoute
from commandside.api.lean import LeanRoute
from commandside.api.shapes import CartAnswer
from commandside.commands import AddToCart, ChangeQuantity, ClearCart, MergeCarts, RemoveFromCart
from commandside.commands.fields import ItemField, Sku, Strictly, UnitsOrNone
from commandside.handlers import cart
from commandside.write_side import WriteSide

_refusals = problems(400, 401, 404, 409, 412, 413, 422, 503)
router = APIRouter(tags=["cart"], responses=_refusals, route_class=JsonRoute)
hot = APIRouter(tags=["cart"], responses=problems(415) | _refusals, route_class=LeanRoute)
NOBODY = "guest:"  # a guest without a session: has no cart, and nothing is ever written for it


class Quantity(Strictly):
    quantity: UnitsOrNone


@hot.post("/v1/cart/items", response_model=CartAnswer, openapi_extra=parameters(IF_MATCH))
async def add_item(request: Request, body: ItemField) -> Response:
    """Sets the cookie `cf_session` for a guest who has none."""
    context = await context_of(request, request.headers.get("if-match"))
    caller: Caller = request.state.caller
    owner = caller.owner or caller.open_session()
    command = AddToCart(owner=owner, product_id=body.product_id, quantity=body.quantity)
    write_side: WriteSide = request.app.state.write_side
    return answer(await write_side.execute_in_shop(cart.add_to_cart, command, context))


@router.put("/v1/cart/items/{product_id}", response_model=CartAnswer)
async def change_quantity(
    product_id: Sku, body: Quantity, write_side: WriteSideDep, caller: CallerDep, context: ContextDep
) -> Response:
    """0 removes."""
    command = ChangeQuantity(owner=_owner(caller), product_id=product_id, quantity=body.quantity)
    return answer(await write_side.execute_in_shop(cart.change_quantity, command, context))


@router.delete("/v1/cart/items/{product_id}", response_model=CartAnswer)
async def remove_item(product_id: Sku, write_side: WriteSideDep, caller: CallerDep, context: ContextDep) -> Response:
    command = RemoveFromCart(owner=_owner(caller), product_id=product_id)
    return answer(await write_side.execute_in_shop(cart.remove_from_cart, command, context))


@router.delete("/v1/cart", response_model=CartAnswer)
async def clear(write_side: WriteSideDep, caller: CallerDep, context: ContextDep) -> Response:
    return answer(await write_side.execute_in_shop(cart.clear_cart, ClearCart(owner=_owner(caller)), context))


@router.post("/v1/cart/merge", response_model=CartAnswer)
async def merge(write_side: WriteSideDep, caller: CallerDep, context: ContextDep) -> Response:
    """Signed in, with a guest's cookie: that cart comes in, and the cookie is taken away."""
    if caller.customer_id is None or caller.owner is None:
        raise ApiError(401, "not-signed-in", "This needs a bearer token.")
    command = MergeCarts(owner=caller.owner, guest=caller.guest_owner or NOBODY)
    merged = await write_side.execute_in_shop(cart.merge_carts, command, context)
    if caller.guest_owner is not None:
        caller.end_session()
    return answer(merged)


def _owner(caller: Caller) -> str:
    return caller.owner or NOBODY
