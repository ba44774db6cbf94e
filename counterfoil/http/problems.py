"""Every error as a problem (RFC 9457), the framework's own too; a fault of ours with nothing but an id for the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FIELD_ERRORS_LIMIT_COUNT = 50
RESTARTED_AFTER_SECONDS = 5
_TEXT_LIMIT_CHARACTERS = 200
_log = structlog.get_logger(__name__)
_SLUGS = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large", 400: "malformed-request"}


class Problem(Protocol):
    """What an error must say of itself to be rendered."""

    @property
    def status(self) -> int: ...
    @property
    def slug(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def figures(self) -> Mapping[str, object]: ...
    @property
    def retry_after_seconds(self) -> int | None: ...


Translations = Mapping[type[Exception], Callable[[Any], Problem]]


def render(
    status: int,
    slug: str,
    detail: str,
    *,
    title: str | None = None,
    retry_after_seconds: int | None = None,
    **more: Any,
) -> Response:
    body = {
        "type": f"/problems/{slug}",
        "title": title or slug.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        **more,
    }
    headers = {"Retry-After": str(retry_after_seconds)} if retry_after_seconds is not None else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")


def install(app: FastAPI, translations: Translations) -> None:
    """Has the app answer with problems. `translations` makes one of each of the app's own errors."""
    for kind, translate in translations.items():
        app.add_exception_handler(kind, _handler(translate))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)


class FaultsOfOurs:
    """Outermost: what nobody handled becomes a 500 that says nothing but an id, and a log line that says all.

    What is cancelled, because the server stops and it has not come to an end, becomes a 503.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except asyncio.CancelledError:
            if not started:
                _log.warning("request ended", method=scope["method"], path=scope["path"])
                await _stopping()(scope, receive, send)
            raise
        except Exception:
            request_id = scope.get("state", {}).get("request_id", "unknown")
            _log.exception("fault", request_id=request_id, method=scope["method"], path=scope["path"])
            if started:
                raise
            response = render(500, "internal-error", "Something went wrong on our side.", error_id=request_id)
            await response(scope, receive, send)


def _stopping() -> Response:
    detail = "The server stops. Whether this was done is not known here; ask again."
    response = render(503, "stopping", detail, retry_after_seconds=RESTARTED_AFTER_SECONDS)
    response.headers["Connection"] = "close"
    return response


def _handler(translate: Callable[[Any], Problem]) -> Callable[[Request, Exception], Any]:
    async def handle(_: Request, error: Exception) -> Response:
        problem = translate(error)
        return render(
            problem.status,
            problem.slug,
            problem.detail,
            title=problem.title,
            retry_after_seconds=problem.retry_after_seconds,
            **dict(problem.figures),
        )

    return handle


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(e["type"] == "json_invalid" for e in errors):
        return render(400, "malformed-json", "The body is not JSON.")
    if _is_not_json(request) and any(e["loc"][0] == "body" for e in errors):
        return render(415, "unsupported-media-type", "A body is sent as application/json.")
    fields = [
        {"field": _text(".".join(str(part) for part in e["loc"])), "message": _text(e["msg"]), "code": e["type"]}
        for e in errors[:FIELD_ERRORS_LIMIT_COUNT]
    ]
    return render(422, "invalid-input", "The request is not valid.", errors=fields)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    slug = _SLUGS.get(error.status_code, "request-refused")
    response = render(error.status_code, slug, str(error.detail))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _is_not_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type not in ("", "application/json") and not media_type.endswith("+json")


def _text(value: str) -> str:
    # What a client sent may come back in here: bounded, and never a lone surrogate, which UTF-8 cannot carry.
    return value[:_TEXT_LIMIT_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
