"""An entry of the catalogue, whatever the order of commands: it says what was said last, and says nothing twice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.aggregates import Product
from domain.errors import CurrencyMismatch, ProductUnavailable, RuleBroken
from domain.values import Money, ProductDetails, ProductKind
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import cause, currencies

DETAILS = ProductDetails("Lamp", ("Home", "Lamps"))


class ProductMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.product = LiveAggregate(Product.add("lamp", DETAILS, Money(1_999, "GBP"), cause()))
        self.said = {
            "details": DETAILS,
            "price": Money(1_999, "GBP"),
            "active": True,
            "rating_hundredths": None,
            "review_count": 0,
            "limit_per_customer": None,
        }

    def says(self, **news: object) -> bool:
        """Takes note; whether anything is new."""
        before = dict(self.said)
        self.said.update(news)
        return self.said != before

    @rule(title=st.sampled_from(["Lamp", "Desk lamp"]), kind=st.sampled_from(["goods", "service"]))
    def revise(self, title: str, kind: ProductKind) -> None:
        details = replace(DETAILS, title=title, kind=kind)
        outcome = self.product.when(lambda product: product.revise(details, cause()))
        assert bool(outcome.events) == self.says(details=details)
        assert self.product.now.stocked == (kind == "goods")

    @rule(amount=st.integers(0, 2), currency=currencies)
    def reprice(self, amount: int, currency: str) -> None:
        outcome = self.product.when(lambda product: product.reprice(Money(amount, currency), cause()))
        if currency != "GBP":
            outcome.then_refused(CurrencyMismatch, expected="GBP", given=currency)
        else:
            assert bool(outcome.events) == self.says(price=Money(amount, currency))

    @rule()
    def activate(self) -> None:
        outcome = self.product.when(lambda product: product.activate(cause()))
        assert bool(outcome.events) == self.says(active=True)
        self.product.when(Product.ensure_sold).then_nothing()

    @rule()
    def deactivate(self) -> None:
        outcome = self.product.when(lambda product: product.deactivate(cause()))
        assert bool(outcome.events) == self.says(active=False)
        self.product.when(Product.ensure_sold).then_refused(ProductUnavailable, product_id="lamp")

    @rule(limit=st.none() | st.integers(-1, 2))
    def limit(self, limit: int | None) -> None:
        outcome = self.product.when(lambda product: product.limit(limit, cause()))
        if limit is not None and limit < 1:
            outcome.then_refused(RuleBroken, limit=limit)
        else:
            assert bool(outcome.events) == self.says(limit_per_customer=limit)

    @rule(rating=st.integers(0, 500), count=st.integers(0, 2))
    def rate(self, rating: int, count: int) -> None:
        outcome = self.product.when(lambda product: product.rate(rating, count, cause()))
        assert bool(outcome.events) == self.says(rating_hundredths=rating, review_count=count)

    @invariant()
    def says_what_was_said_last(self) -> None:
        assert {name: getattr(self.product.now, name) for name in self.said} == self.said
        self.product.ensure_replay_is_the_same()

    def teardown(self) -> None:
        self.product.ensure_of_every_prefix(ensure_one_currency)


def ensure_one_currency(product: Product) -> None:
    assert product.price.currency == "GBP"


TestProduct = ProductMachine.TestCase
