"""A limit per customer, whatever the order of orders: nobody has more than it allowed when they took."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.aggregates import Allowance
from domain.errors import QuantityLimit, RuleBroken
from domain.events.allowance import AllowanceGivenBack, AllowanceTaken
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import cause

order_ids = st.sampled_from(["order-1", "order-2", "order-3", "order-4"])


def ensure_invariants(allowance: Allowance) -> None:
    assert all(units > 0 for units in allowance.taken.values())
    for order_id, units in allowance.taken.items():
        assert allowance.taken_beside(order_id) + units == allowance.taken_beside(None)


class AllowanceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.allowance = LiveAggregate(Allowance.open("customer:ada", "lamp", cause()))
        self.has: dict[str, int] = {}

    @rule(order_id=order_ids, quantity=st.integers(0, 4), limit=st.integers(1, 6))
    def take(self, order_id: str, quantity: int, limit: int) -> None:
        had = sum(self.has.values())
        outcome = self.allowance.when(lambda allowance: allowance.take(order_id, quantity, limit, cause()))
        if order_id in self.has or quantity == 0:
            outcome.then_refused(RuleBroken)
        elif had + quantity > limit:
            outcome.then_refused(QuantityLimit, product_id="lamp", requested=quantity, limit=limit, taken=had)
        else:
            self.has[order_id] = quantity
            assert sum(self.has.values()) <= limit

    @rule(order_id=order_ids)
    def give_back(self, order_id: str) -> None:
        outcome = self.allowance.when(lambda allowance: allowance.give_back(order_id, cause()))
        if self.has.pop(order_id, None) is None:
            outcome.then_nothing()

    @invariant()
    def holds_what_was_taken_and_not_given_back(self) -> None:
        assert self.allowance.now.taken == self.has
        ensure_invariants(self.allowance.now)
        self.allowance.ensure_replay_is_the_same()

    def teardown(self) -> None:
        self.allowance.ensure_of_every_prefix(ensure_invariants)
        held: dict[str, int] = {}
        for event in self.allowance.past:
            if isinstance(event, AllowanceTaken):
                held[event.order_id] = event.quantity
                assert sum(held.values()) <= event.limit
            elif isinstance(event, AllowanceGivenBack):
                assert held.pop(event.order_id) == event.quantity


TestAllowance = AllowanceMachine.TestCase
