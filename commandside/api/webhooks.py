from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel

from commandside.api.answering import WriteSideDep, problems
from commandside.api.errors import ApiError
from commandside.payments.webhook import BadSignature, BadWebhook, WebhookReader

PATH: Final = "/v1/webhooks/payments"
router = APIRouter(tags=["webhooks"])
_signed: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
}


class Taken(BaseModel):
    received: bool = True


@router.post(PATH, responses=problems(400, 413, 503), openapi_extra=_signed)
async def payment_webhook(request: Request, write_side: WriteSideDep) -> Taken:
    """The outcome of a payment, signed by the provider. A repeat is harmless; what is about something else, ignored."""
    reader: WebhookReader = request.app.state.webhooks
    try:
        event = reader.read(await request.body(), request.headers.get(reader.signature_header, ""), write_side.clock())
    except BadSignature as error:
        raise ApiError(400, "bad-signature", str(error)) from error
    except BadWebhook as error:
        raise ApiError(400, "bad-webhook", str(error)) from error
    if event is not None:
        await write_side.saga.on_webhook(event)
    return Taken()


def document_signature(schema: dict[str, Any], header: str) -> None:
    """Writes into an OpenAPI page which header the signature is in: that depends on the provider that is wired."""
    parameter = {"name": header, "in": "header", "required": True, "schema": {"type": "string"}}
    schema["paths"][PATH]["post"]["parameters"] = [parameter]
