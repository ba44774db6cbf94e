"""What is left to do of a checkout, as it stood when it was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from commandside.aggregates import Aggregates
from commandside.payments.payment import Payment
from domain.aggregates import Checkout
from domain.identity import checkout_stream
from domain.values import Money


@dataclass(frozen=True, slots=True)
class Unfinished:
    """`payment_settled`: nothing has still to be learnt about an expired one. `refunds_due`: by their ids."""

    order_id: UUID
    payment: Payment
    awaits_payment: bool
    payment_settled: bool
    expires_at: datetime
    attempts_count: int
    capture_due: bool
    amount_to_capture: Money
    refunds_due: tuple[tuple[str, Money], ...]


def look(aggregates: Aggregates, checkout_id: UUID) -> Unfinished | None:
    """None: nothing is left to do, or there is no such checkout."""
    checkout = aggregates.find(Checkout, checkout_id)
    if checkout is None or not checkout.unfinished:
        return None
    return Unfinished(
        checkout.order_id,
        payment_of(checkout),
        checkout.awaits_payment,
        checkout.payment_settled,
        checkout.expires_at,
        checkout.attempts_count,
        checkout.capture_due,
        checkout.amount_to_capture,
        checkout.refunds_due,
    )


def look_by_order(aggregates: Aggregates, order_id: UUID) -> Unfinished | None:
    return look(aggregates, checkout_stream(order_id))


def payment_of(checkout: Checkout) -> Payment:
    """As the provider is asked for it: the order's id is the payment's idempotency key."""
    key = str(checkout.order_id)
    return Payment(key, checkout.amount, checkout.payment_token, key, checkout.payment_reference)
