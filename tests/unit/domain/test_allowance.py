"""A limit per customer: what an order has, no other can have; what came to nothing can be had again."""

from __future__ import annotations

from domain.aggregates import Allowance, Product
from domain.errors import QuantityLimit, RuleBroken
from domain.events.allowance import AllowanceGivenBack, AllowanceTaken
from domain.events.product import ProductLimited
from domain.values import Money, ProductDetails
from tests.spec import event, given
from tests.strategies import cause


def opened() -> Allowance:
    return Allowance.open("customer:ada", "lamp", cause())


def test_an_order_takes_up_to_the_limit() -> None:
    has_two = given(opened(), lambda allowance: allowance.take("order-1", 2, 3, cause()))
    has_two.when(lambda allowance: allowance.take("order-2", 1, 3, cause())).then(
        event(AllowanceTaken, order_id="order-2", quantity=1, limit=3)
    )


def test_and_no_further() -> None:
    has_two = given(opened(), lambda allowance: allowance.take("order-1", 2, 3, cause()))
    has_two.when(lambda allowance: allowance.take("order-2", 2, 3, cause())).then_refused(
        QuantityLimit, product_id="lamp", requested=2, limit=3, taken=2
    )


def test_the_limit_is_that_of_the_day() -> None:
    has_two = given(opened(), lambda allowance: allowance.take("order-1", 2, 3, cause()))
    has_two.when(lambda allowance: allowance.take("order-2", 1, 2, cause())).then_refused(QuantityLimit, limit=2)
    has_two.when(lambda allowance: allowance.take("order-2", 3, 5, cause())).then(event(AllowanceTaken, limit=5))


def test_an_order_takes_once() -> None:
    has_one = given(opened(), lambda allowance: allowance.take("order-1", 1, 3, cause()))
    has_one.when(lambda allowance: allowance.take("order-1", 1, 3, cause())).then_refused(RuleBroken)


def test_what_came_to_nothing_is_given_back_once() -> None:
    has_two = given(opened(), lambda allowance: allowance.take("order-1", 2, 2, cause()))
    has_two.when(lambda allowance: allowance.give_back("order-1", cause())).then(
        event(AllowanceGivenBack, order_id="order-1", quantity=2)
    )
    given_back = given(
        opened(),
        lambda allowance: allowance.take("order-1", 2, 2, cause()),
        lambda allowance: allowance.give_back("order-1", cause()),
    )
    given_back.when(lambda allowance: allowance.give_back("order-1", cause())).then_nothing()
    given_back.when(lambda allowance: allowance.take("order-2", 2, 2, cause())).then(event(AllowanceTaken))


def test_a_product_says_a_limit_once_and_takes_it_away() -> None:
    lamp = Product.add("lamp", ProductDetails("Lamp", ("Home",)), Money(1, "GBP"), cause())
    limited = given(lamp, lambda product: product.limit(2, cause()))
    limited.when(lambda product: product.limit(2, cause())).then_nothing()
    limited.when(lambda product: product.limit(0, cause())).then_refused(RuleBroken)
    limited.when(lambda product: product.limit(None, cause())).then(event(ProductLimited, limit_per_customer=None))
