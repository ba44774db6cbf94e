from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

_RETRY_AFTER: Final = {"description": "In seconds", "required": True, "schema": {"type": "integer", "minimum": 0}}


class Problem(BaseModel):
    """RFC 9457. Further members carry the figures that go with the `type`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer these. Any of them can answer 401: a token that comes is looked at."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted({401, *statuses})
    }
    for status in {429, 503} & described.keys():
        described[status]["headers"] = {"Retry-After": _RETRY_AFTER}
    return described
