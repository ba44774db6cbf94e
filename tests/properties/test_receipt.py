"""One answer per Idempotency-Key, however often the request comes, until it has expired and the key begins anew."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.aggregates import Receipt
from domain.errors import KeyReused, RuleBroken
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import START, cause

TTL_MINUTES = 60
TTL = timedelta(minutes=TTL_MINUTES)
# Not in order: processes have clocks of their own.
minutes = st.integers(0, 3 * TTL_MINUTES)
fingerprints = st.sampled_from(["digest-a", "digest-b"])


def ensure_invariants(receipt: Receipt) -> None:
    assert receipt.answered == (receipt.status is not None) == (receipt.body is not None)
    assert receipt.answered == (receipt.answered_at is not None)
    assert receipt.answered or not receipt.is_expired(datetime.max.replace(tzinfo=START.tzinfo), TTL)


class ReceiptMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.receipt = LiveAggregate(Receipt.open("customer:ada", "key-1", "digest-a", "order-1", cause()))
        self.told: tuple[int, str] | None = None
        self.told_at_minute = 0
        self.of = ("order-1", "digest-a")
        self.openings_count = 1

    @rule(status=st.integers(200, 599), body=st.text(max_size=5), minute=minutes)
    def answer(self, status: int, body: str, minute: int) -> None:
        outcome = self.receipt.when(lambda receipt: receipt.answer(status, body, cause(minute)))
        if self.told is not None:
            outcome.then_refused(RuleBroken)
        else:
            self.told, self.told_at_minute = (status, body), minute

    @rule(fingerprint=fingerprints)
    def ask_again(self, fingerprint: str) -> None:
        outcome = self.receipt.when(lambda receipt: receipt.ensure_same_request(fingerprint))
        if fingerprint == self.of[1]:
            outcome.then_nothing()
        else:
            outcome.then_refused(KeyReused)

    @rule(fingerprint=fingerprints, minute=minutes)
    def reopen(self, fingerprint: str, minute: int) -> None:
        order_id = f"order-{self.openings_count + 1}"
        outcome = self.receipt.when(lambda receipt: receipt.reopen(fingerprint, order_id, TTL, cause(minute)))
        if self.told is None or minute < self.told_at_minute + TTL_MINUTES:
            outcome.then_refused(RuleBroken)
        else:
            self.told, self.of = None, (order_id, fingerprint)
            self.openings_count += 1

    @rule(minute=minutes)
    def expires_by_the_time_of_its_answer(self, minute: int) -> None:
        expired = self.told is not None and minute >= self.told_at_minute + TTL_MINUTES
        assert self.receipt.now.is_expired(cause(minute).at, TTL) == expired

    @invariant()
    def tells_what_was_told_first(self) -> None:
        receipt = self.receipt.now
        assert (receipt.status, receipt.body) == (self.told or (None, None))
        assert (receipt.order_id, receipt.fingerprint) == self.of
        ensure_invariants(receipt)
        self.receipt.ensure_replay_is_the_same()

    def teardown(self) -> None:
        self.receipt.ensure_of_every_prefix(ensure_invariants)


TestReceipt = ReceiptMachine.TestCase
