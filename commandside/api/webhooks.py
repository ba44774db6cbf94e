from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from commandside.api.answering import WriteSideDep, problems
from commandside.api.errors import ApiError
from commandside.payments.webhook import SIGNATURE_HEADER, BadSignature, BadWebhook, verify

router = APIRouter(tags=["webhooks"])
_signed: dict[str, Any] = {
    "parameters": [{"name": SIGNATURE_HEADER, "in": "header", "required": True, "schema": {"type": "string"}}],
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
}


class Taken(BaseModel):
    received: bool = True


@router.post("/v1/webhooks/payments", responses=problems(400, 413, 503), openapi_extra=_signed)
async def payment_webhook(request: Request, write_side: WriteSideDep) -> Taken:
    """The outcome of a payment, signed by the provider. A repeat is harmless."""
    try:
        event = verify(
            await request.body(),
            request.headers.get(SIGNATURE_HEADER, ""),
            request.app.state.webhook_secret,
            write_side.clock(),
        )
    except BadSignature as error:
        raise ApiError(400, "bad-signature", str(error)) from error
    except BadWebhook as error:
        raise ApiError(400, "bad-webhook", str(error)) from error
    await write_side.saga.on_webhook(event)
    return Taken()
