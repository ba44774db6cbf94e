from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from queryside.api import models
from queryside.api.freshness import fresh_views
from queryside.api.parameters import only
from queryside.api.problems import problems
from queryside.errors import NotFound
from queryside.views import Views

router = APIRouter(tags=["inventory"])


class WarehouseStock(Struct, frozen=True):
    warehouse_id: str
    on_hand: int
    reserved: int
    available: int


class Inventory(Struct, frozen=True):
    sku: str
    available: int
    warehouses: list[WarehouseStock]


@router.get(
    "/v1/inventory/{sku}",
    summary="The stock of a product, by warehouse",
    response_model=models.Inventory,
    responses=problems(404, 422, 503),
    dependencies=[Depends(only()), Depends(fresh_views("stock", "product"))],
)
async def get_inventory(request: Request, sku: str) -> Response:
    """Approximate; the exact check is made at checkout. A product that never had any is out of stock."""
    views: Views = request.app.state.views
    levels = await views.stock(sku)
    if not levels:
        (product,) = await views.stored_products([sku])
        if product is None or product.availability.quantity is None:
            raise NotFound("stock of", sku)
    warehouses = [
        WarehouseStock(warehouse_id, level.on_hand, level.reserved, level.available)
        for warehouse_id, level in levels.items()
    ]
    body = msgspec.json.encode(Inventory(sku, sum(warehouse.available for warehouse in warehouses), warehouses))
    return Response(body, media_type="application/json", headers={"cache-control": "no-cache"})
