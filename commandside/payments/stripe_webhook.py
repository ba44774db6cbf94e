"""Stripe's events, as the webhooks that the checkout knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from commandside.payments.port import Authorised, Cancelled, Captured, Declined
from commandside.payments.stripe_amounts import NotAnAmount, from_stripe
from commandside.payments.stripe_intent import KEY, ORDER_ID, Intent
from commandside.payments.webhook import BadWebhook, WebhookEvent, WebhookReader, check_signature

SIGNATURE_HEADER: Final = "Stripe-Signature"

# The others are about something else, or about what came of one of these.
TYPES: Final = frozenset({
    "payment_intent.amount_capturable_updated", "payment_intent.canceled", "payment_intent.payment_failed",
    "payment_intent.succeeded",
})  # fmt: skip

Content = TypeVar("Content")


def reader(secret: str) -> WebhookReader:
    """`secret` is the endpoint's own, `whsec_…`."""
    return WebhookReader(SIGNATURE_HEADER, lambda body, header, now: read(body, header, secret, now))


def read(body: bytes, header: str, secret: str, now: datetime) -> WebhookEvent | None:
    """The event in `body`, if `header` (Stripe-Signature) proves that Stripe sent it to this endpoint, about `now`.

    None for what is not the outcome of a payment of this shop: another type of event, another account's (of Connect),
    a PaymentIntent that somebody else made. Raises BadSignature, or BadWebhook where the body is not an event.
    """
    # By the scheme that Stripe documents; its library would look at the clock on the wall.
    check_signature(body, header, secret, now)
    event = _decoded(body, _Event)
    if event.type not in TYPES or event.account is not None:
        return None
    intent = _decoded(event.data.object, Intent)
    if KEY not in intent.metadata or ORDER_ID not in intent.metadata:
        return None
    try:
        return _translated(event, intent)
    except (NotAnAmount, msgspec.ValidationError) as error:
        raise BadWebhook(str(error)) from error


class _Data(msgspec.Struct, frozen=True):
    object: msgspec.Raw


class _Event(msgspec.Struct, frozen=True):
    id: str
    type: str
    created: int
    data: _Data
    account: str | None = None


def _translated(event: _Event, intent: Intent) -> WebhookEvent | None:
    outcome = intent.outcome
    told = {
        "event_id": event.id,
        "key": intent.metadata[KEY],
        "order_id": intent.metadata[ORDER_ID],
        "reference": intent.id,
        "amount": from_stripe(intent.amount, intent.currency),
        "created_at": datetime.fromtimestamp(event.created, UTC),
    }
    # By what the PaymentIntent was then, and not by the event's name: what we turned down ourselves is `canceled`, too.
    match outcome:
        case Authorised():
            return _event(told, type="payment.authorised")
        case Captured(amount=amount):
            return _event(told, type="payment.captured", captured=amount)
        case Declined(reason):
            return _event(told, type="payment.declined", reason=reason)
        case Cancelled():
            return _event(told, type="payment.cancelled")
    return None


def _event(told: dict[str, object], **more: object) -> WebhookEvent:
    return msgspec.convert({**told, **more}, WebhookEvent, from_attributes=True)


def _decoded(body: bytes | msgspec.Raw, kind: type[Content]) -> Content:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # all three are msgspec's, for bad JSON
        raise BadWebhook(str(error)) from error
