"""A customer's cart and a guest's, whatever the order of commands: nothing is lost, nothing appears by itself."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.aggregates import Cart
from domain.aggregates.cart import QUANTITY_LIMIT_UNITS
from domain.errors import CheckoutInProgress, EmptyCart, NotFound, QuantityLimit, RuleBroken
from domain.values import CartLine, Item, Money
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import SKUS, cause

skus = st.sampled_from(SKUS)
added = st.integers(-1, 9) | st.sampled_from([QUANTITY_LIMIT_UNITS, QUANTITY_LIMIT_UNITS + 1])
owners = st.sampled_from(["customer:ada", "guest:g1"])


def ensure_invariants(cart: Cart) -> None:
    assert all(line.product_id == product_id for product_id, line in cart.lines.items())
    assert all(1 <= line.quantity <= QUANTITY_LIMIT_UNITS for line in cart.lines.values())
    assert len({line.unit_price.currency for line in cart.lines.values()}) <= 1
    assert not (cart.closed and cart.lines), "a closed cart is empty"
    assert not (cart.closed and cart.checkout_order_id), "a cart is not closed under a checkout"


class CartMachine(RuleBasedStateMachine):
    """The model: units per product of each cart, and the items that its open checkout was begun with."""

    def __init__(self) -> None:
        super().__init__()
        self.carts = {o: LiveAggregate(Cart.open(o, cause())) for o in ("customer:ada", "guest:g1")}
        self.units: dict[str, Counter[str]] = {owner: Counter() for owner in self.carts}
        self.checkouts: dict[str, tuple[str, Counter[str]]] = {}
        self.orders_count = 0

    @initialize(ours=st.dictionaries(skus, st.integers(1, 9)), theirs=st.dictionaries(skus, st.integers(1, 9)))
    def fill(self, ours: dict[str, int], theirs: dict[str, int]) -> None:
        """Where there is something in both, a merge or a checkout has something to lose."""
        for owner, units in (("customer:ada", ours), ("guest:g1", theirs)):
            for sku, quantity in units.items():
                self.add(owner, sku, quantity, 100)

    @rule(owner=owners, sku=skus, quantity=added, price=st.integers(0, 500))
    def add(self, owner: str, sku: str, quantity: int, price: int) -> None:
        held = self.units[owner][sku]
        line = CartLine(sku, sku.title(), quantity, Money(price, "GBP"))
        outcome = self.carts[owner].when(lambda cart: cart.add(line, cause()))
        if quantity < 1:
            outcome.then_refused(RuleBroken, quantity=quantity)
        elif held + quantity > QUANTITY_LIMIT_UNITS:
            outcome.then_refused(QuantityLimit, requested=held + quantity)
        else:
            self.units[owner][sku] += quantity
            assert self.carts[owner].now.lines[sku].unit_price == Money(price, "GBP")

    @rule(owner=owners, sku=skus, quantity=st.integers(-1, 9))
    def change_quantity(self, owner: str, sku: str, quantity: int) -> None:
        outcome = self.carts[owner].when(lambda cart: cart.change_quantity(sku, quantity, cause()))
        held = self.units[owner][sku]
        if quantity == 0:
            del self.units[owner][sku]
        elif not held:
            outcome.then_refused(NotFound, id=sku)
        elif quantity < 0:
            outcome.then_refused(RuleBroken, quantity=quantity)
        elif quantity == held:
            outcome.then_nothing()
        else:
            self.units[owner][sku] = quantity

    @rule(owner=owners, sku=skus)
    def remove(self, owner: str, sku: str) -> None:
        outcome = self.carts[owner].when(lambda cart: cart.remove(sku, cause()))
        if not self.units[owner].pop(sku, 0):
            outcome.then_nothing()

    @rule(owner=owners)
    def clear(self, owner: str) -> None:
        outcome = self.carts[owner].when(lambda cart: cart.clear(cause()))
        if not +self.units[owner]:
            outcome.then_nothing()
        self.units[owner].clear()

    @rule()
    def merge(self) -> None:
        ours, theirs = self.carts["customer:ada"], self.carts["guest:g1"]
        outcome = ours.when(lambda cart: cart.merge(theirs.now, cause()))
        theirs.take_note()
        if "guest:g1" in self.checkouts:
            outcome.then_refused(CheckoutInProgress, order_id=self.checkouts["guest:g1"][0])
        else:
            # Per product the higher of the two.
            self.units["customer:ada"] |= self.units["guest:g1"]
            self.units["guest:g1"].clear()
            assert theirs.now.closed

    @rule(owner=owners)
    def begin_checkout(self, owner: str) -> None:
        order_id = f"order-{self.orders_count}"
        outcome = self.carts[owner].when(lambda cart: cart.begin_checkout(order_id, cause()))
        if owner in self.checkouts:
            outcome.then_refused(CheckoutInProgress, order_id=self.checkouts[owner][0])
        elif not +self.units[owner]:
            outcome.then_refused(EmptyCart)
        else:
            self.checkouts[owner] = (order_id, +self.units[owner])
            self.orders_count += 1

    @rule(owner=owners)
    def abandon_checkout(self, owner: str) -> None:
        order_id = self.checkouts.get(owner, ("order-none", None))[0]
        outcome = self.carts[owner].when(lambda cart: cart.abandon_checkout(order_id, cause()))
        if self.checkouts.pop(owner, None) is None:
            outcome.then_refused(RuleBroken, order_id=order_id)

    @rule(owner=owners)
    def check_out(self, owner: str) -> None:
        order_id, ordered = self.checkouts.get(owner, ("order-none", Counter("x")))
        items = tuple(Item(sku, quantity) for sku, quantity in ordered.items())
        outcome = self.carts[owner].when(lambda cart: cart.check_out(order_id, items, cause()))
        if self.checkouts.pop(owner, None) is None:
            outcome.then_refused(RuleBroken, order_id=order_id)
        else:
            # What was added meanwhile stays.
            self.units[owner] -= ordered
            assert self.carts[owner].now.closed == (not self.units[owner])

    @rule(owner=owners)
    def end_of_another_checkout(self, owner: str) -> None:
        outcome = self.carts[owner].when(lambda cart: cart.check_out("order-other", (), cause()))
        outcome.then_refused(RuleBroken, order_id="order-other")

    @invariant()
    def holds_what_was_put_in(self) -> None:
        for owner, cart in self.carts.items():
            assert {sku: line.quantity for sku, line in cart.now.lines.items()} == dict(+self.units[owner])
            assert cart.now.checkout_order_id == self.checkouts.get(owner, (None, None))[0]

    @invariant()
    def holds_now_and_after_a_replay(self) -> None:
        for cart in self.carts.values():
            ensure_invariants(cart.now)
            cart.ensure_replay_is_the_same()

    def teardown(self) -> None:
        for cart in self.carts.values():
            cart.ensure_of_every_prefix(ensure_invariants)


TestCart = CartMachine.TestCase


@pytest.mark.parametrize("held", [0, 1])
def test_the_model_would_see_a_lost_unit(held: int) -> None:
    machine = CartMachine()
    machine.add("customer:ada", "lamp", 2, 100)
    machine.carts["customer:ada"].when(lambda cart: cart.change_quantity("lamp", held, cause()))
    with pytest.raises(AssertionError):
        machine.holds_what_was_put_in()
