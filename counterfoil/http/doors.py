"""Pure ASGI middleware, outermost first: request id and measures, then the bound on bodies, then who is calling."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from counterfoil.http.identity import BadToken, Caller, KeysUnavailable, Sessions, Tokens
from counterfoil.http.problems import render

UNMATCHED: Final = "unmatched"
OTHER_METHOD: Final = "other"
DRAIN_LIMIT_BYTES: Final = 16 * 1_024 * 1_024
DRAIN_TIMEOUT_SECONDS: Final = 2.0
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE_ID: Final = re.compile(rb"^[A-Za-z0-9._:-]{1,64}$")
_log = structlog.get_logger("http")


class Measured:
    """Gives a request its id (`X-Request-ID`, taken or made), counts it by route and status, and times it.

    What reaches no route, because there is none or another door refused it before, is counted as `unmatched`: no path
    and no method that a client makes up becomes a label of its own.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._plain_paths: dict[object, str] | None = None
        self._counted: dict[tuple[str, str, int], Counter] = {}  # of labels there are few: see above
        self._timed: dict[tuple[str, str], Histogram] = {}
        self._requests = Counter(
            "counterfoil_http_requests",
            "Requests by route and status",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "counterfoil_http_request_seconds",
            "From request to response, by route",
            ["method", "route"],
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        state = scope["state"]
        state["request_id"] = request_id = _taken(headers.get(b"x-request-id")) or str(uuid7())
        state["correlation_id"] = _taken(headers.get(b"x-correlation-id")) or request_id
        started, status, seconds = time.perf_counter(), 500, None

        async def send_with_id(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - started
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            # To where the answer begins: one that goes on for as long as somebody looks on is not slow.
            self._note(scope, status, time.perf_counter() - started if seconds is None else seconds)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route(scope)
        method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
        counted = self._counted.get((method, route, status))
        if counted is None:
            counted = self._counted[method, route, status] = self._requests.labels(method, route, status)
        timed = self._timed.get((method, route))
        if timed is None:
            timed = self._timed[method, route] = self._seconds.labels(method, route)
        counted.inc()
        timed.observe(seconds)
        _log.debug("request", method=scope["method"], path=scope["path"], status=status, seconds=round(seconds, 4))

    def _route(self, scope: Scope) -> str:
        """The path of the route that the request came to, as the OpenAPI page has it."""
        path = getattr(scope.get("route"), "path_format", None)
        if isinstance(path, str):
            return path
        # FastAPI names the routes that are its own; of a plain one only the endpoint is known.
        if self._plain_paths is None:
            self._plain_paths = {r.endpoint: r.path_format for r in scope["app"].routes if isinstance(r, Route)}
        return self._plain_paths.get(scope.get("endpoint"), UNMATCHED)


class Bounded:
    """Refuses bodies above `limit_bytes`, by what is announced and by what is sent."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        announced = headers.get(b"content-length")
        if announced is not None:
            if not announced.isdigit() or int(announced[:20]) > self._limit_bytes:
                # A client that asked whether to send it does not: to wait for it would be to ask for it.
                await self._refuse(scope, receive, send, drain=b"expect" not in headers)
                return
            if b"transfer-encoding" not in headers:  # no more than it announced is taken from a client
                await self._app(scope, receive, send)
                return
        taken = 0
        passed = answered = ended = False

        async def receive_bounded() -> Message:
            nonlocal taken, passed, ended
            message = await receive()
            taken += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if taken > self._limit_bytes:
                passed = True
                if answered:  # too late to refuse it: what is still being said is said to nobody
                    return {"type": "http.disconnect"}
                raise _TooLarge("the body is too large")
            return message

        async def send_unless_passed(message: Message) -> None:
            nonlocal answered
            if passed and not answered:
                return
            answered = True
            await send(message)

        try:
            await self._app(scope, receive_bounded, send_unless_passed)
        except Exception:
            if answered or not passed:
                raise
        # FastAPI takes whatever interrupts its reading for a malformed body: its answer is not the one to give.
        if passed and not answered:
            await self._refuse(scope, receive, send, drain=not ended)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, drain: bool) -> None:
        """The answer is sent at once, the connection closed when the client is done sending, or at the bound: closed
        before that, it breaks under a client that has not come to reading yet, and the answer is lost."""
        response = render(413, "body-too-large", f"A body has at most {self._limit_bytes} bytes.")
        response.headers["Connection"] = "close"

        async def send_and_drain(message: Message) -> None:
            if message["type"] == "http.response.body":
                await send({**message, "more_body": True})
                await _drain(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await response(scope, receive, send_and_drain if drain else send)


class Identified:
    """Finds out who is calling. A token that is presented must be valid, also where none is needed."""

    def __init__(self, app: ASGIApp, tokens: Tokens, sessions: Sessions) -> None:
        self._app = app
        self._tokens = tokens
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        authorization = headers.get(b"authorization")
        caller = Caller()
        if authorization is not None:
            try:
                caller = await self._tokens.verify(authorization.decode("latin-1"))
            except BadToken as error:
                await render(401, "bad-token", str(error))(scope, receive, send)
                return
            except KeysUnavailable:
                detail = "Tokens cannot be verified at present."
                await render(503, "keys-unavailable", detail, retry_after_seconds=5)(scope, receive, send)
                return
        cookie = headers.get(b"cookie")
        if cookie is not None:
            caller.guest_id = self._sessions.guest_id(cookie.decode("latin-1"))
        scope["state"]["caller"] = caller

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and (caller.opened or caller.ended) and message["status"] < 400:
                opened = caller.opened and caller.guest_id is not None
                cookie = self._sessions.set_cookie(caller.guest_id or "") if opened else self._sessions.clear_cookie()
                message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode("latin-1"))]
            await send(message)

        await self._app(scope, receive, send_with_cookie)


class _TooLarge(Exception):
    pass


async def _drain(receive: Receive) -> None:
    left_bytes = DRAIN_LIMIT_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_TIMEOUT_SECONDS):
            while left_bytes > 0:
                message = await receive()
                if not message.get("more_body", False):  # all of it came, or the client has gone
                    return
                left_bytes -= len(message["body"])


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """The first of each name; found once, for all the doors."""
    state = scope.setdefault("state", {})
    headers: dict[bytes, bytes] | None = state.get("headers")
    if headers is None:
        state["headers"] = headers = dict(reversed(list(scope["headers"])))
    return headers


def _taken(value: bytes | None) -> str | None:
    return value.decode("ascii") if value is not None and _SAFE_ID.match(value) else None
