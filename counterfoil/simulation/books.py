"""The books of a simulated payment provider: what it charged and gave back, and what it has to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from commandside.payments.port import (
    Cancelled,
    Charged,
    Declined,
    PaymentKeyReused,
    PaymentOutcome,
    Pending,
    Processing,
    ProviderUnreachable,
    Refunded,
    RefundOutcome,
    RefundRefused,
)
from commandside.payments.webhook import WebhookEvent
from counterfoil.simulation.world import World
from domain.values import Money

WEBHOOK_DELAY_SECONDS: Final = 0.5
# `tok_slow_N` takes N milliseconds, as with the built-in provider; `tok_late_N` N seconds: longer than a reservation.
_SLOW: Final = (("tok_slow_", 0.001, 60_000), ("tok_late_", 1.0, 86_400))
DECLINES: Final = {
    "tok_declined": "card_declined",
    "tok_insufficient_funds": "insufficient_funds",
    "tok_webhook_declined": "card_declined",
}
CHARGES: Final = frozenset({"tok_ok", "tok_timeout", "tok_error_then_ok", "tok_webhook"})


@dataclass(slots=True)
class Payment:
    """Under way while `outcome` is None. `defers`: it says so at once; `tells`: the outcome goes out by webhook."""

    key: str
    reference: str
    order_id: str | None
    amount: Money | None
    defers: bool = False
    tells: bool = False
    outcome: Charged | Declined | Cancelled | None = None
    refunds: dict[str, Money] = field(default_factory=dict)

    @property
    def told(self) -> PaymentOutcome:
        if self.outcome is not None:
            return self.outcome
        return Pending(self.reference) if self.defers else Processing(self.reference)


class Books:
    """`entries` are what the checker reads: each charge and each refund, in the order in which they were made.

    `tell` takes the events that go out by webhook.
    """

    def __init__(self, world: World, tell: Callable[[WebhookEvent], None]) -> None:
        self.entries: list[dict[str, Any]] = []
        self._world = world
        self._tell = tell
        self._payments: dict[str, Payment] = {}
        self._failed_once: set[str] = set()

    def charge(self, key: str, amount: Money, token: str, order_id: str) -> PaymentOutcome:
        known = self._payments.get(key)
        if known is not None:
            if known.amount not in (None, amount):
                raise PaymentKeyReused
            return known.told
        if token == "tok_error_then_ok" and key not in self._failed_once:
            self._failed_once.add(key)
            raise ProviderUnreachable("the first attempt fails")
        defers = token.startswith("tok_webhook")
        payment = Payment(key, f"pay_{len(self._payments) + 1}", order_id, amount, defers, tells=defers)
        self._payments[key] = payment
        seconds = taken_seconds(token)
        final = _final(token, payment.reference)
        if seconds == 0:
            self._finish(payment, final)
        else:
            self._world.loop.call_later(seconds, self._finish, payment, final)
        return payment.told

    def find(self, key: str) -> PaymentOutcome | None:
        payment = self._payments.get(key)
        return None if payment is None else payment.told

    def cancel(self, key: str) -> PaymentOutcome:
        payment = self._payments.get(key)
        if payment is None:
            payment = self._payments[key] = Payment(key, f"pay_{len(self._payments) + 1}", None, None)
        self._finish(payment, Cancelled(payment.reference))
        return payment.told

    def refund(self, key: str, refund_key: str, amount: Money) -> RefundOutcome:
        payment = self._payments.get(key)
        if payment is None or payment.amount is None or not isinstance(payment.outcome, Charged):
            return RefundRefused("not_charged")
        reference = f"ref_{payment.reference}_{refund_key}"
        if refund_key in payment.refunds:
            if payment.refunds[refund_key] != amount:
                raise PaymentKeyReused
            return Refunded(reference)
        if amount.currency != payment.amount.currency:
            return RefundRefused("currency_mismatch")
        if payment.amount < Money.total(payment.refunds.values(), amount.currency) + amount:
            return RefundRefused("exceeds_charge")
        payment.refunds[refund_key] = amount
        self._enter("refunded", key, amount, reference)
        return Refunded(reference)

    @property
    def under_way_count(self) -> int:
        return sum(payment.outcome is None for payment in self._payments.values())

    def expect_no_answer(self, key: str) -> None:
        """Nobody was answered in time: once there is an outcome it is told by webhook."""
        payment = self._payments.get(key)
        if payment is not None and payment.outcome is None:
            payment.tells = True

    def _finish(self, payment: Payment, outcome: Charged | Declined | Cancelled) -> None:
        if payment.outcome is not None:
            return
        payment.outcome = outcome
        if isinstance(outcome, Charged) and payment.amount is not None:
            self._enter("charged", payment.key, payment.amount, payment.reference)
        if payment.tells and payment.amount is not None and payment.order_id is not None:
            kinds = {Charged: "payment.charged", Declined: "payment.declined", Cancelled: "payment.cancelled"}
            self._tell(
                WebhookEvent(
                    event_id=f"evt_{payment.reference}",
                    type=kinds[type(outcome)],  # type: ignore[arg-type]
                    key=payment.key,
                    order_id=payment.order_id,
                    reference=payment.reference,
                    amount=payment.amount,
                    created_at=self._world.true_time(),
                    reason=outcome.reason if isinstance(outcome, Declined) else None,
                )
            )

    def _enter(self, kind: str, key: str, amount: Money, reference: str) -> None:
        self.entries.append(
            {
                "kind": kind,
                "order_id": self._payments[key].order_id,
                "key": key,
                "amount": amount.amount,
                "currency": amount.currency,
                "reference": reference,
                "at_seconds": round(self._world.now_seconds, 6),
            }
        )


def taken_seconds(token: str) -> float:
    """How long it takes until there is an outcome; that of a webhook is not waited for by who asked."""
    if token.startswith("tok_webhook"):
        return WEBHOOK_DELAY_SECONDS
    return processed_seconds(token)


def processed_seconds(token: str) -> float:
    """How long who asked waits for the answer, if he does."""
    for prefix, unit_seconds, limit in _SLOW:
        number = token.removeprefix(prefix)
        if number != token and number.isdecimal() and int(number) <= limit:
            return int(number) * unit_seconds
    return 0.0


def _final(token: str, reference: str) -> Charged | Declined:
    if token in CHARGES or processed_seconds(token) > 0:
        return Charged(reference)
    return Declined(DECLINES.get(token, "unknown_token"))
