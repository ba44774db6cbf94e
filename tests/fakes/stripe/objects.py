"""Stripe's objects as JSON: the fields that its reference names, those that we never set with their usual values."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

API_VERSION: Final = "2026-10-28.endive"

Json = dict[str, Any]


class Problem(Exception):
    """An error of Stripe's. `stored`: under the request's idempotency key, as all is that was begun to be done."""

    def __init__(self, status: int, message: str, *, stored: bool = True, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        kind = "card_error" if status == 402 else "api_error" if status >= 500 else "invalid_request_error"
        self.body: Json = {"error": {"message": message, "type": kind, **fields}}


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex[:24]}"


def payment_intent(amount: int, currency: str, metadata: dict[str, str], created: int, **given: Any) -> Json:
    reference = new_id("pi")
    return {
        "id": reference,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{reference}_secret_{uuid4().hex[:24]}",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **given,
    }


def refund(intent: Json, amount: int, metadata: dict[str, str], created: int, status: str) -> Json:
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn"),
        "charge": intent["latest_charge"],
        "created": created,
        "currency": intent["currency"],
        "destination_details": {"type": "card", "card": {"type": "refund"}},
        "metadata": metadata,
        "payment_intent": intent["id"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
        **({"failure_reason": "expired_or_canceled_card"} if status == "failed" else {}),
    }


def event(kind: str, about: Json, created: int) -> Json:
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": new_id("req"), "idempotency_key": None},
        "type": kind,
    }


def page(url: str, data: list[Json], *, has_more: bool) -> Json:
    return {"object": "list", "url": url, "has_more": has_more, "data": data}
