from __future__ import annotations

from fastapi import APIRouter, Request, Response

from commandside.api.answering import CallerDep, WriteSideDep, order_id_of, problems, respond, seen_by
from commandside.api.errors import ApiError
from commandside.api.shapes import LedgerAnswer
from commandside.ledger import ledger

router = APIRouter(tags=["orders"])


@router.get("/v1/orders/{order_id}/ledger", response_model=LedgerAnswer, responses=problems(401, 404, 422, 503))
async def read_ledger(order_id: str, request: Request, write_side: WriteSideDep, caller: CallerDep) -> Response:
    """What was to be paid for the order, held, taken and given back, with the provider's references.

    For whoever placed it, operators and auditors. Read from the log: it is never behind.
    """
    if request.scope["query_string"]:
        raise ApiError(422, "invalid-input", "The ledger takes no query parameters.")
    owner = None if "auditor" in caller.roles else seen_by(caller)
    version, position, body = await ledger(write_side.store, order_id_of(order_id), owner)
    return respond(200, body, version, position)
