from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from domain.aggregates.base import EventSourced, evolves
from domain.errors import InvalidTransition, RuleBroken
from domain.events.checkout import (
    AllowancesUsed,
    CaptureRefused,
    CheckoutCompleted,
    CheckoutDeclined,
    CheckoutExpired,
    CheckoutPaymentDeferred,
    CheckoutPaymentVoided,
    CheckoutPostponed,
    CheckoutStarted,
    PaymentCaptured,
    PaymentReleased,
    RefundMade,
    RefundRequested,
)
from domain.identity import checkout_stream
from domain.values import Cause, Item, Money, StockClaim

CheckoutStatus = Literal["started", "payment_deferred", "completed", "declined", "expired"]


@dataclass(frozen=True, slots=True)
class Refund:
    """`not_taken`: made by taking so much less."""

    amount: Money
    made: bool = False
    not_taken: bool = False


class Checkout(EventSourced):
    """The process manager's own record: all it needs to take one order's money to an end, also after a crash.

    It is `unfinished` while anything is still to be done, and then has something `due_at`.
    """

    TOPIC = "checkout"

    @classmethod
    def start(
        cls,
        order_id: UUID,
        owner: str,
        items: tuple[Item, ...],
        claims: tuple[StockClaim, ...],
        amount: Money,
        payment_token: str,
        receipt_id: UUID,
        resume_after: datetime,
        expires_at: datetime,
        cause: Cause,
    ) -> Self:
        return cls._start(
            CheckoutStarted,
            checkout_stream(order_id),
            cause,
            order_id=str(order_id),
            owner=owner,
            items=items,
            claims=claims,
            amount=amount,
            payment_token=payment_token,
            receipt_id=str(receipt_id),
            resume_after=resume_after,
            expires_at=expires_at,
        )

    @property
    def awaits_payment(self) -> bool:
        return self.status in ("started", "payment_deferred")

    @property
    def unfinished(self) -> bool:
        return self.awaits_payment or not self.payment_settled or self.capture_due or bool(self.refunds_due)

    @property
    def refunds_due(self) -> tuple[tuple[str, Money], ...]:
        """What was asked for and not made, in the order in which it was asked for."""
        return tuple((refund_id, refund.amount) for refund_id, refund in self.refunds.items() if not refund.made)

    @property
    def amount_to_capture(self) -> Money:
        """What is to go back is not taken in the first place."""
        back = Money.total((amount for _, amount in self.refunds_due), self.amount.currency)
        return self.amount - back

    def use_allowances(self, product_ids: tuple[str, ...], cause: Cause) -> None:
        """Notes what the order has taken of, so that no other has to be looked for when it comes to nothing."""
        if product_ids:
            self._trigger(AllowancesUsed, cause, product_ids=product_ids)

    def defer_payment(self, reference: str, resume_after: datetime, cause: Cause) -> None:
        if self.status == "started":
            self._trigger(CheckoutPaymentDeferred, cause, reference=reference, resume_after=resume_after)

    def complete(self, payment_reference: str, capture_after: datetime | None, cause: Cause) -> None:
        """The order is placed. `capture_after`: when the money that is held is to be taken; None: never."""
        self._ensure_awaits_payment("completed")
        self._trigger(CheckoutCompleted, cause, payment_reference=payment_reference, capture_after=capture_after)

    def capture(self, reference: str, amount: Money, cause: Cause) -> tuple[str, ...]:
        """The provider took `amount`. Returns the refunds that are made by this: as many of those asked for, the oldest
        first, as what was not taken covers. Nothing happens when it is known.
        """
        if not self.capture_due:
            return ()
        covered, left = [], self.amount - amount
        for refund_id, back in self.refunds_due:
            if left < back:
                break
            covered.append(refund_id)
            left = left - back
        self._trigger(PaymentCaptured, cause, reference=reference, amount=amount, refund_ids=tuple(covered))
        return tuple(covered)

    def release_payment(self, reference: str, cause: Cause) -> tuple[str, ...]:
        """The provider let go of what it held, because all was to go back. Returns the refunds that are made by this.

        Nothing happens when it is known. Raises RuleBroken when something of it is still to be taken.
        """
        if not self.capture_due:
            return ()
        if self.amount_to_capture.amount > 0:
            raise RuleBroken("Only what is all to go back is let go of.")
        covered = tuple(refund_id for refund_id, _ in self.refunds_due)
        self._trigger(PaymentReleased, cause, reference=reference, refund_ids=covered)
        return covered

    def refuse_capture(self, reason: str, cause: Cause) -> None:
        """The provider does not hold the money any more. Nothing happens when nothing was to be taken."""
        if self.capture_due:
            self._trigger(CaptureRefused, cause, reason=reason)

    def decline(self, reason: str, cause: Cause) -> None:
        self._ensure_awaits_payment("declined")
        self._trigger(CheckoutDeclined, cause, reason=reason)

    def expire(self, payment_settled: bool, resume_after: datetime, cause: Cause) -> None:
        """The time is up. `payment_settled`: the provider confirmed that it did not and will not charge."""
        self._ensure_awaits_payment("expired")
        if cause.at < self.expires_at:
            raise RuleBroken("This checkout has time left.", expires_at=self.expires_at.isoformat())
        self._trigger(CheckoutExpired, cause, payment_settled=payment_settled, resume_after=resume_after)

    def payment_voided(self, cause: Cause) -> None:
        if self.status == "expired" and not self.payment_settled:
            self._trigger(CheckoutPaymentVoided, cause)

    def request_refund(self, refund_id: str, amount: Money, reason: str, resume_after: datetime, cause: Cause) -> None:
        """Money that was charged is to go back; asked for twice under one `refund_id` it goes back once. Where less was
        taken than was to be (by hand, at the provider), no more than that.

        Raises RuleBroken when more would go back than was charged.
        """
        if refund_id in self.refunds or amount.amount == 0:
            return
        if self.awaits_payment or amount.amount < 0:
            raise RuleBroken("Only what was charged can be paid back.")
        promised = Money.total((r.amount for r in self.refunds.values()), self.amount.currency)
        if self.amount < promised + amount:
            raise RuleBroken("More would be paid back than was charged.")
        amount = self._at_most_what_was_taken(amount)
        if amount.amount == 0:
            return
        self._trigger(
            RefundRequested, cause, refund_id=refund_id, amount=amount, reason=reason, resume_after=resume_after
        )

    def refund_made(self, refund_id: str, reference: str, cause: Cause) -> None:
        """Raises RuleBroken while the money is still to be taken: until then so much less is to be taken."""
        if not self.refunds[refund_id].made:
            if self.capture_due:
                raise RuleBroken("Only what was taken can be paid back.")
            self._trigger(RefundMade, cause, refund_id=refund_id, reference=reference)

    def postpone(self, reason: str, resume_after: datetime, cause: Cause) -> None:
        """Another attempt later. Nothing happens when nothing is left to do."""
        if self.unfinished:
            self._trigger(CheckoutPostponed, cause, reason=reason, resume_after=resume_after)

    def _at_most_what_was_taken(self, amount: Money) -> Money:
        if self.captured is None:
            return amount
        back = Money.total((r.amount for r in self.refunds.values() if not r.not_taken), self.amount.currency)
        return min(amount, self.captured - back)

    def _ensure_awaits_payment(self, wanted: str) -> None:
        if not self.awaits_payment:
            raise InvalidTransition("checkout", self.status, wanted)

    @evolves(CheckoutStarted)
    def _started(self, event: CheckoutStarted) -> None:
        self.order_id = UUID(event.order_id)
        self.owner = event.owner
        self.items = event.items
        self.claims = event.claims
        self.amount = event.amount
        self.payment_token = event.payment_token
        self.receipt_id = UUID(event.receipt_id)
        self.expires_at = event.expires_at
        self.due_at = event.resume_after
        self.status: CheckoutStatus = "started"
        self.payment_reference: str | None = None
        self.payment_settled = True
        self.capture_due = False
        self.captured: Money | None = None
        self.failure_reason: str | None = None
        self.attempts_count = 0
        self.refunds: dict[str, Refund] = {}
        self.limited_product_ids: tuple[str, ...] = ()

    @evolves(AllowancesUsed)
    def _allowances_used(self, event: AllowancesUsed) -> None:
        self.limited_product_ids = event.product_ids

    @evolves(CheckoutPaymentDeferred)
    def _payment_deferred(self, event: CheckoutPaymentDeferred) -> None:
        self.status = "payment_deferred"
        self.payment_reference = event.reference
        self.due_at = event.resume_after

    @evolves(CheckoutCompleted)
    def _completed(self, event: CheckoutCompleted) -> None:
        self.status = "completed"
        self.payment_reference = event.payment_reference
        self.attempts_count = 0
        if event.capture_after is None:
            self.captured = self.amount
        else:
            self.capture_due = True
            self.due_at = event.capture_after

    @evolves(PaymentCaptured)
    def _payment_captured(self, event: PaymentCaptured) -> None:
        self.captured = left = event.amount
        self._money_moved(event.refund_ids)
        for refund_id, back in self.refunds_due:
            there = min(back, left)
            self.refunds[refund_id] = Refund(there, made=there.amount == 0)
            left = left - there

    @evolves(PaymentReleased)
    def _payment_released(self, event: PaymentReleased) -> None:
        self._money_moved(event.refund_ids)

    @evolves(CaptureRefused)
    def _capture_refused(self, event: CaptureRefused) -> None:
        self.failure_reason = event.reason
        self._money_moved(tuple(self.refunds))

    def _money_moved(self, refund_ids: tuple[str, ...]) -> None:
        self.capture_due = False
        self.attempts_count = 0
        for refund_id in refund_ids:
            self.refunds[refund_id] = replace(self.refunds[refund_id], made=True, not_taken=True)

    @evolves(CheckoutDeclined)
    def _declined(self, event: CheckoutDeclined) -> None:
        self.status = "declined"
        self.failure_reason = event.reason

    @evolves(CheckoutExpired)
    def _expired(self, event: CheckoutExpired) -> None:
        self.status = "expired"
        self.payment_settled = event.payment_settled
        self.failure_reason = "expired"
        self.due_at = event.resume_after
        self.attempts_count = 0

    @evolves(CheckoutPaymentVoided)
    def _payment_voided(self, event: CheckoutPaymentVoided) -> None:
        self.payment_settled = True

    @evolves(RefundRequested)
    def _refund_requested(self, event: RefundRequested) -> None:
        self.refunds[event.refund_id] = Refund(event.amount)
        self.payment_settled = True
        self.due_at = event.resume_after
        self.attempts_count = 0

    @evolves(RefundMade)
    def _refund_made(self, event: RefundMade) -> None:
        self.refunds[event.refund_id] = replace(self.refunds[event.refund_id], made=True)
        self.attempts_count = 0

    @evolves(CheckoutPostponed)
    def _postponed(self, event: CheckoutPostponed) -> None:
        self.due_at = event.resume_after
        self.attempts_count += 1
