"""A payment provider in memory, with every token of the built-in one and a clock that may be virtual."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from commandside.payments.port import (
    Cancelled,
    Charged,
    Declined,
    PaymentKeyReused,
    PaymentOutcome,
    Pending,
    Processing,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
    RefundOutcome,
    RefundRefused,
)
from commandside.payments.webhook import WebhookEvent
from domain.values import Money

_DECLINES = {
    "tok_declined": "card_declined",
    "tok_insufficient_funds": "insufficient_funds",
    "tok_webhook_declined": "card_declined",
}
_CHARGES = {"tok_ok", "tok_timeout", "tok_error_then_ok", "tok_webhook"}


class FakePaymentProvider:
    """Implements PaymentProvider. `clock` counts seconds; `timeout_seconds` is how long a call waits for its answer.

    `unreachable` set: every call raises ProviderUnreachable and has no effect. `calls` counts the calls by method.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = 5.0,
        webhook_delay_seconds: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.unreachable = False
        self.calls: dict[str, int] = {}
        self._timeout_seconds = timeout_seconds
        self._webhook_delay_seconds = webhook_delay_seconds
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._payments: dict[str, _Payment] = {}
        self._failed_once: set[str] = set()
        self._events: list[WebhookEvent] = []

    async def charge(self, key: str, amount: Money, token: str, order_id: str) -> PaymentOutcome:
        self._called("charge")
        known = self._payments.get(key)
        if known is not None:
            if known.amount not in {None, amount}:
                raise PaymentKeyReused
            return self._outcome(known)
        if token == "tok_error_then_ok" and key not in self._failed_once:
            self._failed_once.add(key)
            raise ProviderUnreachable("the first attempt fails")
        payment = _Payment(key, f"pay_{len(self._payments) + 1}", order_id, amount)
        self._payments[key] = payment
        delay_seconds = _slowness_seconds(token)
        if delay_seconds is not None:
            payment.due, payment.later = self._clock() + delay_seconds, Charged(payment.reference)
            await self._sleep(min(delay_seconds, self._timeout_seconds))
            if delay_seconds >= self._timeout_seconds:
                raise ProviderTimeout
            return self._outcome(payment)
        final = _final(token, payment.reference)
        if token.startswith("tok_webhook"):
            payment.due, payment.later, payment.tells = self._clock() + self._webhook_delay_seconds, final, True
            return self._outcome(payment)
        payment.outcome = final
        if token == "tok_timeout":
            await self._sleep(self._timeout_seconds)
            raise ProviderTimeout
        return self._outcome(payment)

    async def find(self, key: str) -> PaymentOutcome | None:
        self._called("find")
        payment = self._payments.get(key)
        return None if payment is None else self._outcome(payment)

    async def cancel(self, key: str) -> PaymentOutcome:
        self._called("cancel")
        payment = self._payments.setdefault(key, _Payment(key, f"pay_{len(self._payments) + 1}", None, None))
        if isinstance(self._outcome(payment), Pending | Processing):
            self._finish(payment, Cancelled(payment.reference))
        return self._outcome(payment)

    async def refund(self, key: str, refund_key: str, amount: Money) -> RefundOutcome:
        self._called("refund")
        payment = self._payments.get(key)
        if payment is None:
            return RefundRefused("not_charged")
        if refund_key in payment.refunds:
            if payment.refunds[refund_key] != amount:
                raise PaymentKeyReused
            return Refunded(f"ref_{payment.reference}_{refund_key}")
        if payment.amount is None or not isinstance(self._outcome(payment), Charged):
            return RefundRefused("not_charged")
        if amount.currency != payment.amount.currency:
            return RefundRefused("currency_mismatch")
        if payment.amount < payment.refunded + amount:
            return RefundRefused("exceeds_charge")
        payment.refunds[refund_key] = amount
        return Refunded(f"ref_{payment.reference}_{refund_key}")

    def take_events(self) -> list[WebhookEvent]:
        """The webhooks that have become due since the last call."""
        for payment in self._payments.values():
            self._outcome(payment)
        events, self._events = self._events, []
        return events

    def charged(self) -> dict[str, Money]:
        """By key, what was charged."""
        return {
            key: payment.amount
            for key, payment in self._payments.items()
            if payment.amount is not None and isinstance(self._outcome(payment), Charged)
        }

    def refunded(self) -> dict[str, Money]:
        """By key, what was given back, where anything was."""
        return {key: payment.refunded for key, payment in self._payments.items() if payment.refunds}

    def _called(self, method: str) -> None:
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.unreachable:
            raise ProviderUnreachable("switched off")

    def _outcome(self, payment: _Payment) -> PaymentOutcome:
        if payment.outcome is None and payment.later is not None and payment.due <= self._clock():
            self._finish(payment, payment.later)
        if payment.outcome is not None:
            return payment.outcome
        return Pending(payment.reference) if payment.tells else Processing(payment.reference)

    def _finish(self, payment: _Payment, outcome: Charged | Declined | Cancelled) -> None:
        payment.outcome = outcome
        if payment.tells and payment.amount is not None and payment.order_id is not None:
            kinds = {Charged: "payment.charged", Declined: "payment.declined", Cancelled: "payment.cancelled"}
            self._events.append(
                WebhookEvent(
                    event_id=f"evt_{payment.reference}",
                    type=kinds[type(outcome)],  # type: ignore[arg-type]
                    key=payment.key,
                    order_id=payment.order_id,
                    reference=payment.reference,
                    amount=payment.amount,
                    created_at=self._now(),
                    reason=outcome.reason if isinstance(outcome, Declined) else None,
                )
            )


@dataclass(slots=True)
class _Payment:
    """Under way while `outcome` is None: `later` is what it becomes at `due`, and `tells` whether a webhook says so."""

    key: str
    reference: str
    order_id: str | None
    amount: Money | None
    outcome: Charged | Declined | Cancelled | None = None
    later: Charged | Declined | None = None
    due: float = 0.0
    tells: bool = False
    refunds: dict[str, Money] = field(default_factory=dict)

    @property
    def refunded(self) -> Money:
        assert self.amount is not None
        return Money.total(self.refunds.values(), self.amount.currency)


def _slowness_seconds(token: str) -> float | None:
    milliseconds = token.removeprefix("tok_slow_")
    if milliseconds == token or not milliseconds.isdecimal() or int(milliseconds) > 60_000:
        return None
    return int(milliseconds) / 1000


def _final(token: str, reference: str) -> Charged | Declined:
    return Charged(reference) if token in _CHARGES else Declined(_DECLINES.get(token, "unknown_token"))
