"""The OpenAPI page: what FastAPI finds in the routes, and what it cannot know: headers, and where answers lead."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from commandside.api import webhooks
from commandside.api.answering import Problem
from commandside.api.links import described

_VERSIONED: Final = {
    "ETag": {
        "description": "The version of the stream that was changed, for If-Match",
        "required": True,
        "schema": {"type": "string", "pattern": r'^"[0-9]+"$'},
    },
    "Counterfoil-Position": {
        "description": "For Min-Position: a query that waits for it sees this change",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
_LOCATION: Final = {
    "Location": {
        "description": "Where the query API has the order",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
}
_REPLAYED: Final = {
    "Idempotent-Replayed": {
        "description": "This is the answer that was given before, to the same key and body",
        "schema": {"type": "string", "const": "true"},
    },
}
_ON_RECORD: Final = ("201", "202", "402", "409")  # what a checkout's key may be told again
_WITHOUT_STREAM: Final = ("payment_webhook",)


def operation_id(route: APIRoute) -> str:
    """Short: links name it, and generated clients name their functions by it."""
    return route.name


def openapi(app: FastAPI) -> dict[str, Any]:
    """The page, made once. Links lead to `app.state.query_url`."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        webhooks.document_signature(schema, app.state.webhooks.signature_header)
        links = described(app.state.query_url)
        for path, item in schema["paths"].items():
            for operation in item.values():
                if path.startswith("/v1/"):
                    _complete(operation, links)
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(operation: dict[str, Any], links: dict[tuple[str, str], dict[str, dict[str, Any]]]) -> None:
    name: str = operation["operationId"]
    for status, response in operation["responses"].items():
        if status.startswith("2") and name not in _WITHOUT_STREAM:
            response["headers"] = _VERSIONED | (_LOCATION if name == "check_out" else {})
        if status in _ON_RECORD and name == "check_out":
            response["headers"] = response.get("headers", {}) | _REPLAYED
        if (name, status) in links:
            response["links"] = links[name, status]
