from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from projections.vocabulary import cart_stream
from queryside.api import models
from queryside.api.caller import caller_of
from queryside.api.conditional import answer
from queryside.api.freshness import MinVersion, fresh_views, wait_for_version
from queryside.api.parameters import only
from queryside.api.problems import problems
from queryside.cart_page import cart_etag, cart_page
from queryside.views import VersionOf, Views

router = APIRouter(tags=["cart"])


@router.get(
    "/v1/cart",
    summary="The caller's cart",
    response_model=models.Cart,
    responses={304: {"description": "Not Modified"}, **problems(422, 503)},
    dependencies=[Depends(only()), Depends(fresh_views("cart", "product", "stock"))],
)
async def get_cart(request: Request, min_version: MinVersion = None) -> Response:
    """With today's titles and prices, and a warning for whatever changed since the items went in."""
    views: Views = request.app.state.views
    owner = caller_of(request).owner
    cart = None
    if owner is not None:
        cart_id = str(cart_stream(owner))
        await wait_for_version(request, VersionOf("cart", cart_id))
        cart = await views.cart(cart_id)
    products = await views.products([line.product_id for line in cart.lines]) if cart and cart.lines else {}
    page = cart_page(cart, products, request.app.state.currency)
    body = msgspec.json.encode(page)
    return answer(request, body, cart_etag(cart, page, body), "private, no-cache")
