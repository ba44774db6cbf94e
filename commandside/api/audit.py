from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from commandside.api.answering import Auditor, WriteSideDep, problems
from commandside.api.errors import ApiError
from commandside.api.shapes import AuditAnswer
from commandside.audit import audit
from commandside.commands.fields import EXACT_INTEGER_LIMIT

router = APIRouter(tags=["audit"], dependencies=[Auditor])


@router.get("/v1/audit/{kind}/{public_id}", response_model=AuditAnswer, responses=problems(401, 403, 404, 422, 503))
async def read_audit(
    kind: str,
    public_id: str,
    request: Request,
    write_side: WriteSideDep,
    version: Annotated[int | None, Query(ge=1, le=EXACT_INTEGER_LIMIT)] = None,
    at: Annotated[str | None, Query(description="RFC 3339, with its zone", max_length=40)] = None,
) -> Response:
    """Kinds: product (by SKU), stock (`<sku>@<warehouse_id>`), cart, order, checkout (by its order's id).

    The state is exact as of then. Of the events up to then the last 10,000 are listed: where the first one listed has a
    version above 1, `?version=` with the version before it lists those that came earlier.
    """
    unknown = sorted(request.query_params.keys() - {"version", "at"})
    if unknown:
        raise ApiError(422, "invalid-input", f"There is no query parameter {unknown[0]!r}.")
    if version is not None and at is not None:
        raise ApiError(422, "invalid-input", "Either version or at, not both.")
    found = await audit(write_side.store, kind, public_id, version, _time(at))
    headers = {"ETag": f'"{found.version}"', "Counterfoil-Position": str(found.position)}
    return Response(found.body, headers=headers, media_type="application/json")


def _time(at: str | None) -> datetime | None:
    if at is None:
        return None
    try:
        # A plus sign that was not escaped in the address arrives as a space.
        moment = datetime.fromisoformat(at.replace(" ", "+") if "T" in at else at)
    except ValueError:
        raise ApiError(422, "invalid-input", f"{at!r} is not a time of RFC 3339.") from None
    if moment.tzinfo is None:
        raise ApiError(422, "invalid-input", "A time needs its zone, as in 2026-01-31T12:00:00Z.")
    return moment
