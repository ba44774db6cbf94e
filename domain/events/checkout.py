"""Events of the process that takes a cart to a paid order: the saga's own record."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from domain.events.base import Created, Event
from domain.values import Item, Money, StockClaim


class CheckoutStarted(Created):
    """Everything that is needed to go on after a crash. The payment's idempotency key is `order_id`."""

    TOPIC: ClassVar[str] = "checkout.started.v1"
    order_id: str
    owner: str
    items: tuple[Item, ...]
    claims: tuple[StockClaim, ...]
    amount: Money
    payment_token: str
    receipt_id: str
    resume_after: datetime
    expires_at: datetime


class AllowancesUsed(Event):
    """The order takes from what its owner may have of these products: to be given back should nothing be sold."""

    TOPIC: ClassVar[str] = "checkout.allowances_used.v1"
    product_ids: tuple[str, ...]


class CheckoutPaymentDeferred(Event):
    """The provider has the payment and will tell the outcome later."""

    TOPIC: ClassVar[str] = "checkout.payment_deferred.v1"
    reference: str
    resume_after: datetime


class CheckoutCompleted(Event):
    """The order is placed on a payment that is authorised. `capture_after`: what remains is to take the money, and from
    then on the resumption sees to it; None: nothing remains.
    """

    TOPIC: ClassVar[str] = "checkout.completed.v2"
    payment_reference: str
    capture_after: datetime | None


class PaymentCaptured(Event):
    """The money is taken, `amount` of it. `refund_ids` are refunds that are made by this: so much less was taken."""

    TOPIC: ClassVar[str] = "checkout.payment_captured.v1"
    reference: str
    amount: Money
    refund_ids: tuple[str, ...]


class PaymentReleased(Event):
    """All was to go back before any was taken: the authorisation was let go. `refund_ids` are made by this."""

    TOPIC: ClassVar[str] = "checkout.payment_released.v1"
    reference: str
    refund_ids: tuple[str, ...]


class CaptureRefused(Event):
    """The provider does not hold the money any more: nothing was taken, and nothing will be."""

    TOPIC: ClassVar[str] = "checkout.capture_refused.v1"
    reason: str


class CheckoutDeclined(Event):
    TOPIC: ClassVar[str] = "checkout.declined.v1"
    reason: str


class CheckoutExpired(Event):
    """The reservation ran out. When not `payment_settled`, the provider has still to say whether it charged."""

    TOPIC: ClassVar[str] = "checkout.expired.v1"
    payment_settled: bool
    resume_after: datetime


class CheckoutPaymentVoided(Event):
    """The provider confirmed that an expired checkout was never charged, and now never will be."""

    TOPIC: ClassVar[str] = "checkout.payment_voided.v1"


class RefundRequested(Event):
    """Money is to go back: `refund_id` is the idempotency key of that."""

    TOPIC: ClassVar[str] = "checkout.refund_requested.v1"
    refund_id: str
    amount: Money
    reason: str
    resume_after: datetime


class RefundMade(Event):
    TOPIC: ClassVar[str] = "checkout.refund_made.v1"
    refund_id: str
    reference: str


class CheckoutPostponed(Event):
    """The provider could not be reached; another attempt is due later."""

    TOPIC: ClassVar[str] = "checkout.postponed.v1"
    reason: str
    resume_after: datetime
