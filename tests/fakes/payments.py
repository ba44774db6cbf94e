"""A payment provider in memory, with every token of the built-in one and a clock that may be virtual."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from commandside.payments.port import (
    AuthorisationOutcome,
    Authorised,
    Cancelled,
    Captured,
    CaptureOutcome,
    CaptureRefused,
    Declined,
    Payment,
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

_DECLINES: Final = {
    "tok_declined": "card_declined",
    "tok_insufficient_funds": "insufficient_funds",
    "tok_webhook_declined": "card_declined",
}
_GOOD: Final = {
    "tok_ok",
    "tok_timeout",
    "tok_error_then_ok",
    "tok_webhook",
    "tok_capture_timeout",
    "tok_capture_error_then_ok",
    "tok_capture_refused",
}
_KINDS: Final[dict[type, Any]] = {
    Authorised: "payment.authorised",
    Captured: "payment.captured",
    Declined: "payment.declined",
    Cancelled: "payment.cancelled",
}


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
        self._entries: dict[str, _Entry] = {}
        self._failed_once: set[tuple[str, str]] = set()
        self._events: list[WebhookEvent] = []

    async def is_ready(self) -> bool:
        return not self.unreachable

    async def authorise(self, payment: Payment) -> PaymentOutcome:
        self._called("authorise")
        known = self._entries.get(payment.key)
        if known is not None:
            if known.amount not in {None, payment.amount}:
                raise PaymentKeyReused
            return self._outcome(known)
        if payment.token == "tok_error_then_ok":
            self._fail_once("authorise", payment.key)
        entry = self._entry(payment.key, payment.order_id, payment.amount, payment.token)
        delay_seconds = _slowness_seconds(payment.token)
        if delay_seconds is not None:
            entry.due, entry.later = self._clock() + delay_seconds, Authorised(entry.reference)
            await self._sleep(min(delay_seconds, self._timeout_seconds))
            if delay_seconds >= self._timeout_seconds:
                raise ProviderTimeout
            return self._outcome(entry)
        outcome = _outcome_of(payment.token, entry.reference)
        if payment.token.startswith("tok_webhook"):
            entry.due, entry.later, entry.tells = self._clock() + self._webhook_delay_seconds, outcome, True
            return self._outcome(entry)
        entry.outcome = outcome
        if payment.token == "tok_timeout":
            await self._never_answer()
        return self._outcome(entry)

    async def find(self, payment: Payment) -> PaymentOutcome | None:
        self._called("find")
        entry = self._entries.get(payment.key)
        return None if entry is None else self._outcome(entry)

    async def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        self._called("capture")
        entry = self._entries.get(payment.key)
        outcome = None if entry is None else self._outcome(entry)
        if entry is None or entry.amount is None or not isinstance(outcome, Authorised):
            if isinstance(outcome, Captured):
                return outcome
            return CaptureRefused("under_way" if isinstance(outcome, Pending | Processing) else "not_authorised")
        if amount.currency != entry.amount.currency:
            return CaptureRefused("currency_mismatch")
        if amount.amount <= 0:
            return CaptureRefused("nothing_to_capture")
        if entry.amount < amount:
            return CaptureRefused("exceeds_authorisation")
        if entry.token == "tok_capture_refused":
            entry.outcome = Cancelled(entry.reference)
            return CaptureRefused("not_authorised")
        if entry.token == "tok_capture_error_then_ok":
            self._fail_once("capture", payment.key)
        captured = entry.outcome = Captured(entry.reference, amount)
        if entry.token == "tok_capture_timeout":
            self._tell(entry, captured)
            await self._never_answer()
        return captured

    async def cancel(self, payment: Payment) -> AuthorisationOutcome:
        self._called("cancel")
        entry = self._entries.get(payment.key) or self._entry(payment.key, None, None, "")
        outcome = self._outcome(entry)
        if isinstance(outcome, Captured | Declined | Cancelled):
            return outcome
        cancelled = entry.outcome = Cancelled(entry.reference)
        if isinstance(outcome, Pending):
            self._tell(entry, cancelled)
        return cancelled

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        self._called("refund")
        entry = self._entries.get(payment.key)
        outcome = None if entry is None else self._outcome(entry)
        if entry is None or not isinstance(outcome, Captured):
            return RefundRefused("not_captured")
        if refund_key in entry.refunds:
            if entry.refunds[refund_key] != amount:
                raise PaymentKeyReused
            return Refunded(f"ref_{entry.reference}_{refund_key}")
        if amount.currency != outcome.amount.currency:
            return RefundRefused("currency_mismatch")
        if outcome.amount < entry.refunded + amount:
            return RefundRefused("exceeds_capture")
        entry.refunds[refund_key] = amount
        return Refunded(f"ref_{entry.reference}_{refund_key}")

    def take_events(self) -> list[WebhookEvent]:
        """The webhooks that have become due since the last call."""
        for entry in self._entries.values():
            self._outcome(entry)
        events, self._events = self._events, []
        return events

    def authorised(self) -> dict[str, Money]:
        """By key, what is held now."""
        return {
            key: entry.amount
            for key, entry in self._entries.items()
            if entry.amount is not None and isinstance(self._outcome(entry), Authorised)
        }

    def captured(self) -> dict[str, Money]:
        """By key, what was taken."""
        outcomes = {key: self._outcome(entry) for key, entry in self._entries.items()}
        return {key: outcome.amount for key, outcome in outcomes.items() if isinstance(outcome, Captured)}

    def refunded(self) -> dict[str, Money]:
        """By key, what was given back, where anything was."""
        return {key: entry.refunded for key, entry in self._entries.items() if entry.refunds}

    def _called(self, method: str) -> None:
        self.calls[method] = self.calls.get(method, 0) + 1
        if self.unreachable:
            raise ProviderUnreachable("switched off")

    def _fail_once(self, method: str, key: str) -> None:
        if (method, key) not in self._failed_once:
            self._failed_once.add((method, key))
            raise ProviderUnreachable("the first attempt fails")

    async def _never_answer(self) -> None:
        await self._sleep(self._timeout_seconds)
        raise ProviderTimeout

    def _entry(self, key: str, order_id: str | None, amount: Money | None, token: str) -> _Entry:
        entry = self._entries[key] = _Entry(key, f"pay_{len(self._entries) + 1}", order_id, amount, token)
        return entry

    def _outcome(self, entry: _Entry) -> PaymentOutcome:
        if entry.outcome is None and entry.later is not None and entry.due <= self._clock():
            entry.outcome = entry.later
            if entry.tells:
                self._tell(entry, entry.later)
        if entry.outcome is not None:
            return entry.outcome
        return Pending(entry.reference) if entry.tells else Processing(entry.reference)

    def _tell(self, entry: _Entry, outcome: AuthorisationOutcome) -> None:
        assert entry.amount is not None and entry.order_id is not None, "it was authorised, or was to be"
        kind = _KINDS[type(outcome)]
        self._events.append(
            WebhookEvent(
                event_id=f"evt_{entry.reference}_{kind}",
                type=kind,
                key=entry.key,
                order_id=entry.order_id,
                reference=entry.reference,
                amount=entry.amount,
                created_at=self._now(),
                reason=outcome.reason if isinstance(outcome, Declined) else None,
                captured=outcome.amount if isinstance(outcome, Captured) else None,
            )
        )


@dataclass(slots=True)
class _Entry:
    """Under way while `outcome` is None: `later` is what it becomes at `due`, and `tells` whether a webhook says so."""

    key: str
    reference: str
    order_id: str | None
    amount: Money | None
    token: str
    outcome: AuthorisationOutcome | None = None
    later: Authorised | Declined | None = None
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


def _outcome_of(token: str, reference: str) -> Authorised | Declined:
    return Authorised(reference) if token in _GOOD else Declined(_DECLINES.get(token, "unknown_token"))
