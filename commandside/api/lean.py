"""Routes for the two writes that a sale is made of: FastAPI documents them, and stays out of their way.

FastAPI's own handling of a request (dependencies resolved by name, body decoded and then validated) is a tenth of what
such a request costs; here the body goes straight into its model.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

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
            content = await _body(request.receive)
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


class Shortcut:
    """Stands before the framework, and takes a request for one of the lean routes straight to its endpoint.

    To find the route among all of them, and to open what other endpoints may need, costs more than such an endpoint
    does. Errors are answered by the handlers of the application, as everywhere.
    """

    def __init__(self, framework: ASGIApp, routes: Iterable[LeanRoute]) -> None:
        self._framework = framework
        self._routes = {
            (method, route.path): (route, route.get_route_handler())
            for route in routes
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._framework(scope, receive, send)
            return
        scope["route"], handle = found
        request = Request(scope, receive)
        try:
            response = await handle(request)
        except Exception as error:
            handler = next(filter(None, map(request.app.exception_handlers.get, type(error).__mro__)), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)


async def _body(receive: Receive) -> bytes:
    """Raises ClientDisconnect. Whoever serves this bounds it."""
    message = await receive()
    content: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        content += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return content


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
