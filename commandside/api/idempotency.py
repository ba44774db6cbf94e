"""The header Idempotency-Key: what makes a request safe to send again."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from commandside.api.errors import ApiError
from commandside.commands.checkout import IdempotencyKey

_key = TypeAdapter(IdempotencyKey)


def idempotency_key(*, required: bool) -> dict[str, Any]:
    """For OpenAPI, where an endpoint reads the header itself."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": required,
        "schema": {"type": "string"},
        "description": "1 to 255 visible ASCII characters",
    }


def key_of(request: Request) -> str | None:
    """None: there is none. Raises ApiError for one that cannot be."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    try:
        return _key.validate_python(given)
    except ValidationError:
        detail = "An Idempotency-Key is 1 to 255 visible ASCII characters."
        raise ApiError(400, "idempotency-key-invalid", detail) from None
