"""The saga's own record, whatever the order of outcomes: it ends once, and is unfinished exactly while work is left."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.aggregates import Checkout
from domain.errors import InvalidTransition, RuleBroken
from domain.events.checkout import (
    CheckoutCompleted,
    CheckoutDeclined,
    CheckoutExpired,
    CheckoutPaymentVoided,
    PaymentCaptured,
    PaymentReleased,
    RefundMade,
)
from domain.values import Item, Money, StockClaim
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import START, cause

AMOUNT = Money(2_000, "GBP")
EXPIRES_AFTER = timedelta(minutes=10)
ENDINGS = (CheckoutCompleted, CheckoutDeclined, CheckoutExpired)
minutes = st.integers(0, 20)
refund_ids = st.sampled_from(["cancel", "return-1", "return-2"])


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def ensure_invariants(checkout: Checkout) -> None:
    to_do = [refund_id for refund_id, refund in checkout.refunds.items() if not refund.made]
    assert checkout.unfinished == (
        checkout.awaits_payment or not checkout.payment_settled or checkout.capture_due or bool(to_do)
    )
    assert 0 <= checkout.amount_to_capture.amount <= checkout.amount.amount
    assert sum(refund.amount.amount for refund in checkout.refunds.values()) <= checkout.amount.amount
    assert all(refund.amount.amount > 0 for refund in checkout.refunds.values())
    assert checkout.due_at.utcoffset() is not None
    assert checkout.attempts_count >= 0
    if checkout.status != "expired":
        assert checkout.payment_settled, "only after the time ran out it may be unknown what the provider did"


class CheckoutMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.checkout = LiveAggregate(
            Checkout.start(
                UUID(int=7),
                "customer:ada",
                (Item("lamp", 2),),
                (StockClaim("lamp", "north", 2),),
                AMOUNT,
                "tok_ok",
                UUID(int=8),
                resume_after=at(1),
                expires_at=START + EXPIRES_AFTER,
                cause=cause(),
            )
        )
        self.ending: str | None = None
        self.provider_is_silent = False
        self.capture_due = False
        self.captured_minor: int | None = None
        self.to_pay_back: dict[str, int] = {}
        self.never_taken: dict[str, int] = {}
        self.paid_back: dict[str, int] = {}

    @property
    def promised(self) -> int:
        return sum(sum(some.values()) for some in (self.to_pay_back, self.paid_back, self.never_taken))

    @property
    def may_be_charged(self) -> bool:
        return self.ending is not None  # declined too: a provider that says so and charges has to pay back

    @rule(product_ids=st.sampled_from([(), ("lamp",)]))
    def use_allowances(self, product_ids: tuple[str, ...]) -> None:
        outcome = self.checkout.when(lambda checkout: checkout.use_allowances(product_ids, cause()))
        if product_ids:
            assert self.checkout.now.limited_product_ids == product_ids
        else:
            outcome.then_nothing()

    @rule(due=minutes)
    def defer_payment(self, due: int) -> None:
        before = self.checkout.now.status
        outcome = self.checkout.when(lambda checkout: checkout.defer_payment("pay-1", at(due), cause()))
        if before == "started":
            assert self.checkout.now.status == "payment_deferred"
            assert self.checkout.now.due_at == at(due)
        else:
            outcome.then_nothing()

    @rule(capture_minute=st.none() | minutes)
    def complete(self, capture_minute: int | None) -> None:
        capture_after = None if capture_minute is None else at(capture_minute)
        outcome = self.checkout.when(lambda checkout: checkout.complete("pay-1", capture_after, cause()))
        if self.ending:
            outcome.then_refused(InvalidTransition, wanted="completed")
        else:
            self.ending = "completed"
            self.capture_due = capture_after is not None
            self.captured_minor = None if self.capture_due else AMOUNT.amount
            assert self.checkout.now.payment_reference == "pay-1"
            if capture_after is not None:
                assert self.checkout.now.due_at == capture_after

    @rule(data=st.data())
    def capture(self, data: st.DataObject) -> None:
        """The provider took what was asked for, or all of it: an earlier request came first."""
        wanted = AMOUNT.amount - sum(self.to_pay_back.values())
        taken = data.draw(st.sampled_from([AMOUNT.amount, wanted])) if self.capture_due else wanted
        outcome = self.checkout.when(lambda checkout: checkout.capture("pay-1", Money(taken, "GBP"), cause()))
        if not self.capture_due:
            outcome.then_nothing()
            return
        self.capture_due, self.captured_minor = False, taken
        if taken == wanted:
            self.never_taken, self.to_pay_back = self.to_pay_back, {}
        assert self.checkout.now.captured == Money(taken, "GBP")

    @rule()
    def release_payment(self) -> None:
        outcome = self.checkout.when(lambda checkout: checkout.release_payment("pay-1", cause()))
        if not self.capture_due:
            outcome.then_nothing()
        elif sum(self.to_pay_back.values()) < AMOUNT.amount:
            outcome.then_refused(RuleBroken)
        else:
            self.capture_due = False
            self.never_taken, self.to_pay_back = self.to_pay_back, {}

    @rule()
    def refuse_capture(self) -> None:
        outcome = self.checkout.when(lambda checkout: checkout.refuse_capture("not_authorised", cause()))
        if not self.capture_due:
            outcome.then_nothing()
            return
        self.capture_due = False
        self.never_taken, self.to_pay_back = self.to_pay_back, {}

    @rule()
    def decline(self) -> None:
        outcome = self.checkout.when(lambda checkout: checkout.decline("no funds", cause()))
        if self.ending:
            outcome.then_refused(InvalidTransition, wanted="declined")
        else:
            self.ending = "declined"
            assert self.checkout.now.failure_reason == "no funds"

    @rule(now=minutes, settled=st.booleans())
    def expire(self, now: int, settled: bool) -> None:
        outcome = self.checkout.when(lambda checkout: checkout.expire(settled, at(now + 1), cause(now)))
        if self.ending:
            outcome.then_refused(InvalidTransition, wanted="expired")
        elif at(now) < START + EXPIRES_AFTER:
            outcome.then_refused(RuleBroken)
        else:
            self.ending = "expired"
            self.provider_is_silent = not settled

    @rule()
    def void_payment(self) -> None:
        outcome = self.checkout.when(lambda checkout: checkout.payment_voided(cause()))
        if self.provider_is_silent:
            self.provider_is_silent = False
        else:
            outcome.then_nothing()

    @rule(refund_id=refund_ids, amount=st.sampled_from([-5, 0, 1, 700, 1_999, 2_000, 2_001]), due=minutes)
    def request_refund(self, refund_id: str, amount: int, due: int) -> None:
        outcome = self.checkout.when(
            lambda checkout: checkout.request_refund(refund_id, Money(amount, "GBP"), "why", at(due), cause())
        )
        if refund_id in self.to_pay_back | self.paid_back | self.never_taken or amount == 0:
            outcome.then_nothing()
        elif not self.may_be_charged or amount < 0 or self.promised + amount > AMOUNT.amount:
            outcome.then_refused(RuleBroken)
        else:
            self.to_pay_back[refund_id] = amount
            self.provider_is_silent = False  # what goes back was charged: that is known now

    @rule(data=st.data())
    def make_refund(self, data: st.DataObject) -> None:
        known = sorted({*self.to_pay_back, *self.paid_back, *self.never_taken})
        if known:
            refund_id = data.draw(st.sampled_from(known))
            outcome = self.checkout.when(lambda checkout: checkout.refund_made(refund_id, "back-1", cause()))
            if refund_id not in self.to_pay_back:
                outcome.then_nothing()
            elif self.capture_due:
                outcome.then_refused(RuleBroken)
            else:
                self.paid_back[refund_id] = self.to_pay_back.pop(refund_id)

    @rule(due=minutes)
    def postpone(self, due: int) -> None:
        before = self.checkout.now.attempts_count
        outcome = self.checkout.when(lambda checkout: checkout.postpone("away", at(due), cause()))
        if self.has_work_left:
            assert self.checkout.now.due_at == at(due)
            assert self.checkout.now.attempts_count == before + 1
        else:
            outcome.then_nothing()

    @property
    def has_work_left(self) -> bool:
        return self.ending is None or self.provider_is_silent or self.capture_due or bool(self.to_pay_back)

    @invariant()
    def is_unfinished_exactly_while_work_is_left(self) -> None:
        assert self.checkout.now.unfinished == self.has_work_left
        assert self.checkout.now.awaits_payment == (self.ending is None)
        assert self.ending in (None, self.checkout.now.status)

    @invariant()
    def ended_at_most_once(self) -> None:
        past = self.checkout.past
        assert sum(isinstance(event, ENDINGS) for event in past) == (self.ending is not None)
        assert sum(isinstance(event, CheckoutPaymentVoided) for event in past) <= 1
        assert sum(isinstance(event, RefundMade) for event in past) == len(self.paid_back)
        assert sum(isinstance(event, PaymentCaptured | PaymentReleased) for event in past) <= 1

    @invariant()
    def what_is_kept_is_what_is_due(self) -> None:
        """Once all is done, what was taken less what was given back is the amount less all that was to go back."""
        if self.captured_minor is not None and not self.checkout.now.unfinished:
            assert self.captured_minor - sum(self.paid_back.values()) == AMOUNT.amount - self.promised

    @invariant()
    def holds_now_and_after_a_replay(self) -> None:
        ensure_invariants(self.checkout.now)
        self.checkout.ensure_replay_is_the_same()

    def teardown(self) -> None:
        self.checkout.ensure_of_every_prefix(ensure_invariants)


TestCheckout = CheckoutMachine.TestCase
