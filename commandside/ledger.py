"""An order's ledger: what was to be paid, held, taken and given back, entry by entry, with the provider's references.

Read from the log itself, like every audit: it is never behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from commandside.event_store import EventStore
from commandside.representations import Json, money, time
from domain.aggregates import Checkout
from domain.errors import NotFound
from domain.events import Recorded
from domain.events.checkout import (
    CaptureRefused,
    CheckoutCompleted,
    CheckoutDeclined,
    CheckoutExpired,
    CheckoutPaymentVoided,
    CheckoutStarted,
    PaymentCaptured,
    PaymentReleased,
    RefundMade,
    RefundRequested,
)
from domain.identity import checkout_stream
from domain.values import Money

PAGE_LIMIT_EVENTS = 10_000


async def ledger(store: EventStore, order_id: UUID, owner: str | None) -> tuple[int, int, Json]:
    """Version and position of the order's checkout, and `{order_id, total, authorised, captured, refunded, kept,
    to_be_captured, to_be_refunded, entries: [{kind, amount, reference?, refund_id?, reason?, at, by, version}]}`.

    Kinds: requested, authorised, captured, released, refund_requested, refunded, declined, expired, voided,
    capture_refused. `owner` None: whoever may see every order. Raises NotFound, also when the order is somebody else's;
    StoreUnavailable.
    """
    history = await _history(store, checkout_stream(order_id))
    if not history or not isinstance(history[0].event, CheckoutStarted):
        raise NotFound("order", str(order_id))
    checkout = Checkout.replay([recorded.event for recorded in history])
    if owner is not None and checkout.owner != owner:
        raise NotFound("order", str(order_id))
    return checkout.version, history[-1].position, _told(checkout, history)


async def _history(store: EventStore, stream_id: UUID) -> list[Recorded]:
    """All of it: one that waits for somebody to look has a line for every attempt, and is not behind for that."""
    history: list[Recorded] = []
    while page := await store.history(stream_id, len(history), PAGE_LIMIT_EVENTS):
        history += page
        if len(page) < PAGE_LIMIT_EVENTS:
            break
    return history


def _told(checkout: Checkout, history: Sequence[Recorded]) -> Json:
    entries = [
        {**entry, "at": time(recorded.event.timestamp), "by": recorded.event.actor, "version": version}
        for version, recorded in enumerate(history, start=1)
        for entry in _entries(checkout, recorded.event)
    ]
    nothing = Money.zero(checkout.amount.currency)
    captured, refunded = (
        Money(sum(e["amount"]["amount"] for e in entries if e["kind"] == kind), nothing.currency)
        for kind in ("captured", "refunded")
    )
    return {
        "order_id": str(checkout.order_id),
        "total": money(checkout.amount),
        "authorised": money(checkout.amount if checkout.status == "completed" else nothing),
        "captured": money(captured),
        "refunded": money(refunded),
        "kept": money(captured - refunded),
        "to_be_captured": money(checkout.amount_to_capture if checkout.capture_due else nothing),
        "to_be_refunded": money(
            nothing
            if checkout.capture_due
            else Money.total((amount for _, amount in checkout.refunds_due), nothing.currency)
        ),
        "entries": entries,
    }


def _entries(checkout: Checkout, event: Any) -> Iterator[Json]:
    total = money(checkout.amount)
    match event:
        case CheckoutStarted():
            yield {"kind": "requested", "amount": total}
        case CheckoutCompleted():
            yield {"kind": "authorised", "amount": total, "reference": event.payment_reference}
            if event.capture_after is None:  # by the provider, in one
                yield {"kind": "captured", "amount": total, "reference": event.payment_reference}
        case PaymentCaptured():
            yield {"kind": "captured", "amount": money(event.amount), "reference": event.reference}
            if event.amount < checkout.amount:
                rest = money(checkout.amount - event.amount)
                yield {"kind": "released", "amount": rest, "reference": event.reference}
        case PaymentReleased():
            yield {"kind": "released", "amount": total, "reference": event.reference}
        case CaptureRefused():
            yield {"kind": "capture_refused", "amount": total, "reason": event.reason}
        case RefundRequested():
            if checkout.status != "completed":  # taken all the same, at the provider, and told by it
                yield {"kind": "captured", "amount": money(event.amount), "reason": event.reason}
            yield {
                "kind": "refund_requested",
                "amount": money(event.amount),
                "refund_id": event.refund_id,
                "reason": event.reason,
            }
        case RefundMade():
            amount = money(checkout.refunds[event.refund_id].amount)
            yield {"kind": "refunded", "amount": amount, "refund_id": event.refund_id, "reference": event.reference}
        case CheckoutDeclined():
            yield {"kind": "declined", "amount": total, "reason": event.reason}
        case CheckoutExpired():
            yield {"kind": "expired", "amount": total}
        case CheckoutPaymentVoided():
            yield {"kind": "voided", "amount": total}
