"""ETag and If-None-Match (RFC 9110, 13.1.2)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response


def answer(request: Request, body: bytes, etag: str, cache_control: str) -> Response:
    """200 with the body, or 304 without when the caller has it."""
    headers = {"etag": etag, "cache-control": cache_control}
    if _has(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _has(if_none_match: list[str], etag: str) -> bool:
    known = {tag.strip().removeprefix("W/") for header in if_none_match for tag in header.split(",")}
    return "*" in known or etag in known
