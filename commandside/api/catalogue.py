from __future__ import annotations

from fastapi import APIRouter, Response

from commandside.api.answering import ContextDep, Operator, WriteSideDep, answer, problems
from commandside.api.json_body import JsonRoute
from commandside.api.shapes import ProductChanged
from commandside.commands import AddProduct, ChangeProduct, ProductChanges, ProductFields
from commandside.commands.fields import Sku
from commandside.handlers import catalogue

router = APIRouter(tags=["catalogue"], dependencies=[Operator], route_class=JsonRoute)


@router.post(
    "/v1/products",
    status_code=201,
    response_model=ProductChanged,
    responses=problems(400, 401, 403, 409, 413, 422, 503),
)
async def add_product(body: ProductFields, write_side: WriteSideDep, context: ContextDep) -> Response:
    command = AddProduct.model_construct(**dict(body))
    return answer(await write_side.execute(catalogue.add_product, command, context), 201)


@router.patch(
    "/v1/products/{product_id}",
    response_model=ProductChanged,
    responses=problems(400, 401, 403, 404, 409, 412, 413, 422, 503),
)
async def change_product(
    product_id: Sku, body: ProductChanges, write_side: WriteSideDep, context: ContextDep
) -> Response:
    command = ChangeProduct(sku=product_id, changes=body)
    return answer(await write_side.execute(catalogue.change_product, command, context))
