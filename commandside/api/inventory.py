from __future__ import annotations

from fastapi import APIRouter, Response

from commandside.api.answering import ContextDep, Operator, WriteSideDep, answer, problems
from commandside.api.json_body import JsonRoute
from commandside.api.shapes import StockFigures
from commandside.commands import AdjustStock, ReceiveStock
from commandside.commands.fields import Line, Sku, StockDelta, StockUnits, Strictly, WarehouseId
from commandside.handlers import inventory

router = APIRouter(
    tags=["inventory"],
    dependencies=[Operator],
    responses=problems(400, 401, 403, 404, 409, 412, 413, 422, 503),
    route_class=JsonRoute,
)


class Receipt(Strictly):
    warehouse_id: WarehouseId
    quantity: StockUnits


class Adjustment(Strictly):
    warehouse_id: WarehouseId
    quantity_delta: StockDelta
    reason: Line


@router.post("/v1/inventory/{sku}/receive", response_model=StockFigures)
async def receive_stock(sku: Sku, body: Receipt, write_side: WriteSideDep, context: ContextDep) -> Response:
    command = ReceiveStock(sku=sku, **dict(body))
    return answer(await write_side.execute(inventory.receive_stock, command, context))


@router.post("/v1/inventory/{sku}/adjust", response_model=StockFigures)
async def adjust_stock(sku: Sku, body: Adjustment, write_side: WriteSideDep, context: ContextDep) -> Response:
    command = AdjustStock(sku=sku, **dict(body))
    return answer(await write_side.execute(inventory.adjust_stock, command, context))
