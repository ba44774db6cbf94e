"""Stripe's HTTP on a port of its own: keys, idempotency, errors, headers, signed events, and things that go wrong."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl

import stripe
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from stripe import params

from tests.fakes.stripe.books import Books
from tests.fakes.stripe.objects import API_VERSION, Json, Problem, new_id, page

API_KEY: Final = "sk_test_that_only_tests_know"
WEBHOOK_SECRET: Final = "whsec_that_only_tests_know"
START_TIMEOUT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 30.0

# What each call takes, by the types that the library has from Stripe's own description of its API.
_TAKEN: Final = {
    name: frozenset(kind.__annotations__) - frozenset(stripe.RequestOptions.__annotations__)
    for name, kind in {
        "create": params.PaymentIntentCreateParams,
        "update": params.PaymentIntentUpdateParams,
        "confirm": params.PaymentIntentConfirmParams,
        "capture": params.PaymentIntentCaptureParams,
        "cancel": params.PaymentIntentCancelParams,
        "refund": params.RefundCreateParams,
    }.items()
}


class Trouble(StrEnum):
    """What may happen to a request. `lost` and `cut_off` come after its effect, the others instead of it."""

    SILENT = "silent"
    LOST = "lost"
    CUT_OFF = "cut off"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"
    LOCKED = "locked"
    IN_USE = "in use"
    GATEWAY = "gateway"
    GATEWAY_JSON = "gateway, in JSON"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came: `what` is create, confirm, retrieve, ..."""

    what: str
    path: str
    headers: dict[str, str]
    params: Json


class StripeServer:
    """Serves in a thread until the end of its `with`. `troubles` are what befalls the next requests, by what they ask.

    `asked` are all the requests, `books` what came of them.
    """

    def __init__(self) -> None:
        self.books = Books()
        self.asked: list[Asked] = []
        self.troubles: dict[str, list[Trouble]] = {}
        self._stored: dict[str, _Stored] = {}
        config = uvicorn.Config(self._app(), host="127.0.0.1", port=0, log_level="critical", timeout_keep_alive=30)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    @property
    def url(self) -> str:
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def happens(self, what: str, *troubles: Trouble) -> None:
        self.troubles.setdefault(what, []).extend(troubles)

    def forget_keys(self) -> None:
        """What Stripe does after a day."""
        self._stored.clear()

    def count(self, what: str) -> int:
        return sum(each.what == what for each in self.asked)

    def webhook(self, event: Json, *, secret: str = WEBHOOK_SECRET, at: int | None = None) -> tuple[bytes, str]:
        """The body and the Stripe-Signature of an event, as the library itself signs it."""
        body = json.dumps(event, indent=2)
        header = stripe.WebhookSignature.generate_signature_header(body, secret, at)
        return body.encode(), str(header)

    def __enter__(self) -> Self:
        self._thread.start()
        until = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._server.started:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(START_TIMEOUT_SECONDS)

    def _app(self) -> Starlette:
        intents, one = "/v1/payment_intents", "/v1/payment_intents/{id}"
        books = self.books
        return Starlette(
            routes=[
                self._route("create", intents, "POST", lambda _, given: books.create(given)),
                self._route("list", intents, "GET", lambda _, given: page(intents, [], has_more=False)),
                self._route("retrieve", one, "GET", lambda id, given: books.retrieve(id)),
                self._route("update", one, "POST", books.update),
                self._route("confirm", f"{one}/confirm", "POST", books.confirm),
                self._route("capture", f"{one}/capture", "POST", books.capture),
                self._route("cancel", f"{one}/cancel", "POST", books.cancel),
                self._route("refund", "/v1/refunds", "POST", lambda _, given: books.create_refund(given)),
                self._route("refunds", "/v1/refunds", "GET", lambda _, given: self._list_refunds(given)),
            ]
        )

    def _list_refunds(self, given: Json) -> Json:
        refunds = self.books.refunds_of(given["payment_intent"])
        ids = [each["id"] for each in refunds]
        begin = ids.index(given["starting_after"]) + 1 if "starting_after" in given else 0
        end = begin + int(given.get("limit", 10))
        return page("/v1/refunds", refunds[begin:end], has_more=end < len(refunds))

    def _route(self, what: str, path: str, method: str, act: Callable[[str, Json], Json | Awaitable[Json]]) -> Route:
        books = self.books

        async def endpoint(request: Request) -> Response:
            raw = (await request.body()).decode() if method == "POST" else request.url.query
            given = _nested(raw)
            self.asked.append(Asked(what, request.url.path, dict(request.headers), given))
            queued = self.troubles.get(what)
            trouble = queued.pop(0) if queued else None
            if trouble is not None and (answer := await _instead(trouble)) is not None:
                return answer
            answer = await self._answer(what, request, raw, given, act)
            if trouble is Trouble.LOST or books.is_lost(request.path_params.get("id", ""), what):
                await asyncio.sleep(SILENCE_SECONDS)
            return _broken_off(answer) if trouble is Trouble.CUT_OFF else answer

        return Route(path, endpoint, methods=[method])

    async def _answer(
        self, what: str, request: Request, raw: str, given: Json, act: Callable[[str, Json], Json | Awaitable[Json]]
    ) -> Response:
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return _says(401, _error("Invalid API Key provided: sk_test_****know"))
        if request.headers.get("stripe-version") != API_VERSION:
            return _says(400, _error("Invalid Stripe API version"))
        unknown = sorted(set(given) - _TAKEN[what]) if what in _TAKEN else []
        if unknown:
            code = "parameter_unknown"
            if unknown == ["payment_method_types"]:
                code = "payment_method_types_no_longer_supported"
            return _says(400, _error(f"Received unknown parameter: {unknown[0]}", code=code, param=unknown[0]))
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None:
            return _says(*await _done(act, request, given))
        stored = self._stored.get(key)
        if stored is not None:
            return stored.again(request.url.path, raw)
        self._stored[key] = stored = _Stored(request.url.path, raw)
        try:
            stored.status, stored.body = await _done(act, request, given)
        except _NotStored as refused:
            del self._stored[key]
            locked = {"Stripe-Should-Retry": "true"} if refused.status == 429 else {}
            return _says(refused.status, refused.body, **locked)
        finally:
            if stored.status is None:
                self._stored.pop(key, None)
        return _says(stored.status, stored.body, **stored.retry_headers)


@dataclass(slots=True)
class _Stored:
    path: str
    raw: str
    status: int | None = None
    body: Json | None = None

    @property
    def retry_headers(self) -> dict[str, str]:
        return {"Stripe-Should-Retry": "false"} if self.status is not None and self.status >= 500 else {}

    def again(self, path: str, raw: str) -> Response:
        if (path, raw) != (self.path, self.raw):
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
            )
            return _says(400, {"error": {"message": message, "type": "idempotency_error"}})
        if self.status is None or self.body is None:
            return _in_use()
        return _says(self.status, self.body, **{"Idempotent-Replayed": "true", **self.retry_headers})


class _NotStored(Exception):
    def __init__(self, status: int, body: Json) -> None:
        super().__init__()
        self.status, self.body = status, body


async def _done(act: Callable[[str, Json], Json | Awaitable[Json]], request: Request, given: Json) -> tuple[int, Json]:
    try:
        done = act(request.path_params.get("id", ""), given)
        return 200, done if isinstance(done, dict) else await done
    except Problem as problem:
        if request.method == "POST" and not problem.stored:
            raise _NotStored(problem.status, problem.body) from problem
        return problem.status, problem.body


async def _instead(trouble: Trouble) -> Response | None:
    match trouble:
        case Trouble.SILENT:
            await asyncio.sleep(SILENCE_SECONDS)
            return _says(500, _error("too late"))
        case Trouble.FAILED:
            return _says(500, _error("An unknown error occurred", kind="api_error"), **{"Stripe-Should-Retry": "false"})
        case Trouble.UNAVAILABLE:
            return _says(503, _error("Try again", kind="api_error"), **{"Stripe-Should-Retry": "true"})
        case Trouble.BUSY:
            return _says(429, _error("Request rate limit exceeded.", code="rate_limit"))
        case Trouble.LOCKED:
            return _says(
                429,
                _error("This object cannot be accessed right now.", code="lock_timeout"),
                **{"Stripe-Should-Retry": "true"},
            )
        case Trouble.IN_USE:
            return _in_use()
        case Trouble.GATEWAY_JSON:
            return JSONResponse({"error": "Bad Gateway"}, 502)
        case Trouble.REDIRECT:
            return Response("", 307, {"Location": "/v1/payment_intents"})
        case Trouble.GATEWAY:
            return Response("<html><h1>502 Bad Gateway</h1></html>", 502, media_type="text/html")
    return None


def _in_use() -> Response:
    message = "There is currently another in-progress request using this idempotency key."
    problem = _error(message, kind="idempotency_error", code="idempotency_key_in_use")
    return _says(409, problem, **{"Stripe-Should-Retry": "true"})


def _says(status: int, body: Json, **headers: str) -> Response:
    return JSONResponse(body, status, {"Request-Id": new_id("req"), "Stripe-Version": API_VERSION, **headers})


def _error(message: str, kind: str = "invalid_request_error", **fields: Any) -> Json:
    return {"error": {"message": message, "type": kind, **fields}}


def _broken_off(answer: Response) -> Response:
    """As much of it as comes before the connection breaks: uvicorn hangs up where the announced length is not kept."""

    async def begin() -> Any:
        yield bytes(answer.body)[:10]

    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return StreamingResponse(begin(), answer.status_code, {**headers, "content-length": str(len(answer.body))})


def _nested(raw: str) -> Json:
    """`metadata[order_id]=1&types[0]=card` as JSON would have it."""
    found: Json = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        outer, *inner = re.findall(r"[^\[\]]+", name)
        if not inner:
            found[outer] = value
        else:
            found.setdefault(outer, {})[inner[0]] = value
    return found
