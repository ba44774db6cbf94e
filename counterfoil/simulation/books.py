"""The books of a simulated payment provider: what it holds, took, let go and gave back, and what it has to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

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
GOOD: Final = frozenset({
    "tok_ok", "tok_timeout", "tok_error_then_ok", "tok_webhook",
    "tok_capture_timeout", "tok_capture_error_then_ok", "tok_capture_refused",
})  # fmt: skip
# So many outcomes are told by webhook though they were answered, too: before the answer or after it.
TOLD_ANYWAY_SHARE: Final = 0.1
_KINDS: Final[dict[type, Literal["authorised", "captured", "declined", "cancelled"]]] = {
    Authorised: "authorised",
    Captured: "captured",
    Declined: "declined",
    Cancelled: "cancelled",
}


@dataclass(slots=True)
class Account:
    """Of one payment. Under way while `outcome` is None. `defers`: it says so at once; `tells`: the outcome goes out by
    webhook, and so does what comes of it later.
    """

    key: str
    reference: str
    order_id: str | None
    amount: Money | None
    token: str
    defers: bool = False
    tells: bool = False
    outcome: AuthorisationOutcome | None = None
    refunds: dict[str, Money] = field(default_factory=dict)

    @property
    def told(self) -> PaymentOutcome:
        if self.outcome is not None:
            return self.outcome
        return Pending(self.reference) if self.defers else Processing(self.reference)


class Books:
    """`entries` are what the checker reads: what was authorised, captured, released and refunded, in order.

    `tell` takes the events that go out by webhook.
    """

    def __init__(self, world: World, tell: Callable[[WebhookEvent], None]) -> None:
        self.entries: list[dict[str, Any]] = []
        self._world = world
        self._tell = tell
        self._accounts: dict[str, Account] = {}
        self._failed_once: set[tuple[str, str]] = set()

    def authorise(self, payment: Payment) -> PaymentOutcome:
        known = self._accounts.get(payment.key)
        if known is not None:
            if known.amount not in (None, payment.amount):
                raise PaymentKeyReused
            return known.told
        token = payment.token
        if token == "tok_error_then_ok":
            self._fail_once("authorise", payment.key)
        account = self._open(payment.key, payment.order_id, payment.amount, token)
        account.defers = token.startswith("tok_webhook")
        account.tells = account.defers or self._world.dice.random() < TOLD_ANYWAY_SHARE
        seconds = taken_seconds(token)
        final = _final(token, account.reference)
        if seconds == 0:
            self._finish(account, final)
        else:
            self._world.loop.call_later(seconds, self._finish, account, final)
        return account.told

    def find(self, payment: Payment) -> PaymentOutcome | None:
        account = self._accounts.get(payment.key)
        return None if account is None else account.told

    def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        account = self._accounts.get(payment.key)
        if account is None or account.amount is None:
            return CaptureRefused("not_authorised")
        if isinstance(account.outcome, Captured):
            return account.outcome
        refusal = _reason_not_to_capture(account, account.amount, amount)
        if refusal is not None:
            return CaptureRefused(refusal)
        if account.token == "tok_capture_refused":  # it was held too long, and let go
            self._finish(account, Cancelled(account.reference))
            return CaptureRefused("not_authorised")
        if account.token == "tok_capture_error_then_ok":
            self._fail_once("capture", payment.key)
        account.tells = account.token == "tok_capture_timeout" or self._world.dice.random() < TOLD_ANYWAY_SHARE
        captured = Captured(account.reference, amount)
        self._finish(account, captured)
        return captured

    def cancel(self, payment: Payment) -> AuthorisationOutcome:
        account = self._accounts.get(payment.key)
        if account is None:
            account = self._open(payment.key, None, None, "")
        self._finish(account, Cancelled(account.reference))
        assert account.outcome is not None
        return account.outcome

    def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        account = self._accounts.get(payment.key)
        if account is None or not isinstance(account.outcome, Captured):
            return RefundRefused("not_captured")
        reference = f"ref_{account.reference}_{refund_key}"
        if refund_key in account.refunds:
            if account.refunds[refund_key] != amount:
                raise PaymentKeyReused
            return Refunded(reference)
        taken = account.outcome.amount
        if amount.currency != taken.currency:
            return RefundRefused("currency_mismatch")
        if taken < Money.total(account.refunds.values(), amount.currency) + amount:
            return RefundRefused("exceeds_capture")
        account.refunds[refund_key] = amount
        self._enter("refunded", account, amount, reference)
        return Refunded(reference)

    @property
    def under_way_count(self) -> int:
        return sum(account.outcome is None for account in self._accounts.values())

    def expect_no_answer(self, payment: Payment) -> None:
        """Nobody was answered in time: once there is an outcome it is told by webhook."""
        account = self._accounts.get(payment.key)
        if account is not None and account.outcome is None:
            account.tells = True

    def _open(self, key: str, order_id: str | None, amount: Money | None, token: str) -> Account:
        account = self._accounts[key] = Account(key, f"pay_{len(self._accounts) + 1}", order_id, amount, token)
        return account

    def _fail_once(self, call: str, key: str) -> None:
        if (call, key) not in self._failed_once:
            self._failed_once.add((call, key))
            raise ProviderUnreachable("the first attempt fails")

    def _finish(self, account: Account, outcome: AuthorisationOutcome) -> None:
        """What is held may still be taken or let go; everything else is final."""
        held = account.outcome
        if held is not None and (not isinstance(held, Authorised) or isinstance(outcome, Authorised | Declined)):
            return
        account.outcome = outcome
        if account.amount is None:
            return  # it was cancelled before it was ever seen
        match outcome:
            case Authorised():
                self._enter("authorised", account, account.amount)
            case Captured(_, taken):
                self._enter("captured", account, taken)
                if taken < account.amount:
                    self._enter("released", account, account.amount - taken)
            case Cancelled() if held is not None:
                self._enter("released", account, account.amount)
        if account.tells and account.order_id is not None:
            self._tell(self._event(account, account.order_id, account.amount, outcome))

    def _event(self, account: Account, order_id: str, amount: Money, outcome: AuthorisationOutcome) -> WebhookEvent:
        kind = _KINDS[type(outcome)]
        return WebhookEvent(
            event_id=f"evt_{account.reference}_{kind}",
            type=f"payment.{kind}",  # type: ignore[arg-type]
            key=account.key,
            order_id=order_id,
            reference=account.reference,
            amount=amount,
            created_at=self._world.true_time(),
            reason=outcome.reason if isinstance(outcome, Declined) else None,
            captured=outcome.amount if isinstance(outcome, Captured) else None,
        )

    def _enter(self, kind: str, account: Account, amount: Money, reference: str | None = None) -> None:
        self.entries.append(
            {
                "kind": kind,
                "order_id": account.order_id,
                "key": account.key,
                "amount": amount.amount,
                "currency": amount.currency,
                "reference": reference or account.reference,
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


def _final(token: str, reference: str) -> Authorised | Declined:
    if token in GOOD or processed_seconds(token) > 0:
        return Authorised(reference)
    return Declined(DECLINES.get(token, "unknown_token"))


def _reason_not_to_capture(account: Account, held: Money, wanted: Money) -> str | None:
    if not isinstance(account.outcome, Authorised):
        return "under_way" if account.outcome is None else "not_authorised"
    if wanted.currency != held.currency:
        return "currency_mismatch"
    if wanted.amount <= 0:
        return "nothing_to_capture"
    return "exceeds_authorisation" if held < wanted else None
