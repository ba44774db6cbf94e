"""One answer per Idempotency-Key, however often the request comes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.aggregates import Receipt
from domain.errors import KeyReused, RuleBroken
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import cause


def ensure_invariants(receipt: Receipt) -> None:
    assert receipt.answered == (receipt.status is not None) == (receipt.body is not None)


class ReceiptMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.receipt = LiveAggregate(Receipt.open("customer:ada", "key-1", "digest-a", "order-1", cause()))
        self.told: tuple[int, str] | None = None

    @rule(status=st.integers(200, 599), body=st.text(max_size=5))
    def answer(self, status: int, body: str) -> None:
        outcome = self.receipt.when(lambda receipt: receipt.answer(status, body, cause()))
        if self.told is not None:
            outcome.then_refused(RuleBroken)
        else:
            self.told = (status, body)

    @rule(fingerprint=st.sampled_from(["digest-a", "digest-b"]))
    def ask_again(self, fingerprint: str) -> None:
        outcome = self.receipt.when(lambda receipt: receipt.ensure_same_request(fingerprint))
        if fingerprint == "digest-a":
            outcome.then_nothing()
        else:
            outcome.then_refused(KeyReused)

    @invariant()
    def tells_what_was_told_first(self) -> None:
        receipt = self.receipt.now
        assert (receipt.status, receipt.body) == (self.told or (None, None))
        assert (receipt.order_id, receipt.fingerprint) == ("order-1", "digest-a")
        ensure_invariants(receipt)
        self.receipt.ensure_replay_is_the_same()

    def teardown(self) -> None:
        self.receipt.ensure_of_every_prefix(ensure_invariants)


TestReceipt = ReceiptMachine.TestCase
