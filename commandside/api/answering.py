"""From request to context, from committed answer to response: headers of the contract, and who may do what."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol
from uuid import UUID

import msgspec
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict

from commandside.api.errors import ApiError
from commandside.handlers.context import Answer, Context
from commandside.write_side import WriteSide
from commandside.writer import Committed
from domain.errors import NotFound
from domain.values import Cause

# A view's ETag may say more than the version, where it shows what is not in the stream: "7-1f3a".
_VERSION = re.compile(r'^(?:W/)?"(\d{1,15})(?:-[0-9a-zA-Z_-]{1,64})?"$')


class Caller(Protocol):
    """Who sent a request. `owner` is None for a guest without a session yet."""

    @property
    def owner(self) -> str | None: ...
    @property
    def guest_owner(self) -> str | None: ...
    @property
    def customer_id(self) -> str | None: ...
    @property
    def roles(self) -> frozenset[str]: ...
    @property
    def actor(self) -> str: ...
    def open_session(self) -> str:
        """Makes a session for a guest and has its cookie set; returns the new owner."""
        ...

    def end_session(self) -> None:
        """Has the guest's cookie taken away."""
        ...


class Problem(BaseModel):
    """RFC 9457. `type` is stable; further members are the figures that go with it."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: these statuses are problems."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": _MEANING[status], "content": content} for status in statuses
    }
    if 503 in described:
        described[503]["headers"] = {"Retry-After": _RETRY_AFTER}
    return described


IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": 'The version the stream is believed to have: `"7"`',
}


def parameters(*described: dict[str, Any]) -> dict[str, Any]:
    """For OpenAPI, where an endpoint reads its headers itself."""
    return {"parameters": list(described)}


_RETRY_AFTER = {"description": "In seconds", "required": True, "schema": {"type": "integer", "minimum": 0}}
_MEANING = {
    400: "Not JSON, or a header is missing",
    401: "Not signed in",
    402: "The payment was declined",
    403: "Not allowed",
    404: "Not there, or not yours",
    409: "The state of things does not allow it",
    412: "If-Match is stale",
    413: "The body is too large",
    415: "The body is not JSON by its own account",
    422: "Invalid input",
    503: "A dependency does not answer; try again",
}


# Dependencies are coroutines: FastAPI runs plain functions in threads, which costs more than all they do.
async def write_side_of(request: Request) -> WriteSide:
    write_side: WriteSide = request.app.state.write_side
    return write_side


async def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def context_of(
    request: Request,
    if_match: Annotated[str | None, Header(description='The version the stream is believed to have: `"7"`')] = None,
) -> Context:
    if request.scope["query_string"]:
        raise ApiError(422, "invalid-input", "A command takes no query parameters.")
    cause = Cause(
        request.app.state.write_side.clock(),
        request.state.caller.actor,
        request.state.request_id,
        request.state.correlation_id,
    )
    return Context(cause, _version(if_match))


def seen_by(caller: Caller) -> str | None:
    """The owner whose orders the caller sees; None: every order. A guest without a session owns none."""
    return None if "operator" in caller.roles else caller.owner or "guest:"


def order_id_of(text: str) -> UUID:
    """Raises NotFound for what cannot be the id of an order."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("order", text) from None


def role(*allowed: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: 401 without a token, 403 without one of these roles."""

    async def required(request: Request) -> Caller:
        caller: Caller = request.state.caller
        if caller.customer_id is None:
            raise ApiError(401, "not-signed-in", "This needs a bearer token.")
        if not caller.roles & set(allowed):
            raise ApiError(403, "not-allowed", f"This needs the role {' or '.join(allowed)}.")
        return caller

    return required


WriteSideDep = Annotated[WriteSide, Depends(write_side_of)]
CallerDep = Annotated[Caller, Depends(caller_of)]
ContextDep = Annotated[Context, Depends(context_of)]
Operator = Depends(role("operator"))
Auditor = Depends(role("auditor", "operator"))


def answer(committed: Committed[Answer], status: int = 200) -> Response:
    return respond(status, committed.result.body, committed.result.version, committed.position)


def respond(status: int, body: dict[str, Any], version: int | None, position: int, **headers: str) -> Response:
    """`headers` by their names with underscores in place of dashes."""
    content = msgspec.json.encode(body)
    raw = [
        (b"content-type", b"application/problem+json" if status >= 400 else b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"counterfoil-position", str(position).encode()),
    ]
    if version is not None:
        raw.append((b"etag", b'"%d"' % version))
    raw += [(name.lower().replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return _Encoded(content, status, raw)


class _Encoded(Response):
    """What is to be sent, as it is: the framework would look for each header among those before it."""

    def __init__(self, content: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code, self.body, self.raw_headers, self.background = status, content, headers, None


def _version(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _VERSION.match(if_match.strip())
    if found is None:
        raise ApiError(422, "invalid-input", 'If-Match takes one version in quotes, as in "7".')
    return int(found[1])
