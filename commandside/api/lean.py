"""Routes for the two writes that a sale is made of: FastAPI documents them, and stays out of their way.

FastAPI's own handling of a request (dependencies resolved by name, body decoded and then validated) is a tenth of what
such a request costs; here the body goes straight into its model.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from commandside.api.errors import ApiError


class LeanRoute(APIRoute):
    """For endpoints of exactly `(request: Request, body: <model>)` that return a Response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        hints = get_type_hints(endpoint)
        if list(hints)[:2] != ["request", "body"] or not issubclass(hints["body"], BaseModel):
            raise TypeError(f"{endpoint.__name__} does not take (request, body)")
        model: type[BaseModel] = hints["body"]

        async def handle(request: Request) -> Response:
            content = await request.body()
            _ensure_json(request.headers.get("content-type"))
            if not content:
                raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
            try:
                body = model.model_validate_json(content)
            except ValidationError as error:
                raise RequestValidationError(_located(error)) from error
            response: Response = await endpoint(request, body)
            return response

        return handle


def _ensure_json(content_type: str | None) -> None:
    media_type = (content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiError(415, "unsupported-media-type", "A body is sent as application/json.")


def _located(error: ValidationError) -> list[dict[str, Any]]:
    """As FastAPI says it: where in the request, not only where in the body."""
    errors: list[dict[str, Any]] = [dict(fault) for fault in error.errors(include_url=False)]
    for fault in errors:
        fault["loc"] = ("body", *fault["loc"])
    return errors
