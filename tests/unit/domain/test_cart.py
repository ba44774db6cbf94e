from __future__ import annotations

import pytest

from domain.aggregates import Cart
from domain.aggregates.cart import LINES_LIMIT_COUNT, QUANTITY_LIMIT_UNITS
from domain.errors import CheckoutInProgress, CurrencyMismatch, EmptyCart, NotFound, QuantityLimit, RuleBroken
from domain.events.cart import (
    CartCheckedOut,
    CartCheckoutAbandoned,
    CartCheckoutBegun,
    CartItemAdded,
    CartItemRemoved,
    CartMerged,
    CartMergedAway,
    CartQuantityChanged,
    CartReopened,
)
from domain.values import CartLine, Item, Money
from tests.spec import Given, event, given
from tests.strategies import cause


def line(sku: str, quantity: int, price: int = 100, currency: str = "GBP") -> CartLine:
    return CartLine(sku, sku.title(), quantity, Money(price, currency))


def cart(*lines: CartLine, owner: str = "customer:ada") -> Given[Cart]:
    opened = Cart.open(owner, cause())
    for one in lines:
        opened.add(one, cause())
    return given(opened)


def guests(*lines: CartLine) -> Given[Cart]:
    return cart(*lines, owner="guest:g1")


def checked_out(*lines: CartLine) -> Given[Cart]:
    closed = cart(*lines)
    closed.when(lambda cart: cart.begin_checkout("o1", cause()))
    closed.when(lambda cart: cart.check_out("o1", tuple(Item(one.product_id, one.quantity) for one in lines), cause()))
    return closed


def test_the_price_shown_last_is_the_one_in_the_cart() -> None:
    held = cart(line("lamp", 2, price=100))
    held.when(lambda cart: cart.add(line("lamp", 1, price=120), cause())).then(
        event(CartItemAdded, line=line("lamp", 1, price=120))
    )
    assert held.aggregate.lines == {"lamp": line("lamp", 3, price=120)}


@pytest.mark.parametrize("quantity", [0, -1])
def test_less_than_one_is_not_added_though_some_are_there(quantity: int) -> None:
    cart(line("lamp", 5)).when(lambda cart: cart.add(line("lamp", quantity), cause())).then_refused(
        RuleBroken, quantity=quantity
    )


def test_a_cart_is_of_one_currency() -> None:
    outcome = cart(line("lamp", 1)).when(lambda cart: cart.add(line("chair", 1, currency="EUR"), cause()))
    outcome.then_refused(CurrencyMismatch, expected="GBP", given="EUR")


def test_a_cart_holds_so_many_products_and_no_more() -> None:
    full = cart(*[line(f"sku-{n}", 1) for n in range(LINES_LIMIT_COUNT)])
    full.when(lambda cart: cart.add(line("sku-0", 1), cause())).then(event(CartItemAdded))
    full.when(lambda cart: cart.add(line("one-more", 1), cause())).then_refused(RuleBroken, limit=LINES_LIMIT_COUNT)
    full.when(lambda cart: cart.merge(guests(line("one-more", 1)).aggregate, cause())).then_refused(
        RuleBroken, limit=LINES_LIMIT_COUNT
    )


def test_a_quantity_has_a_limit() -> None:
    full = cart(line("lamp", QUANTITY_LIMIT_UNITS))
    full.when(lambda cart: cart.add(line("lamp", 1), cause())).then_refused(
        QuantityLimit, requested=QUANTITY_LIMIT_UNITS + 1, limit=QUANTITY_LIMIT_UNITS
    )
    full.when(lambda cart: cart.change_quantity("lamp", QUANTITY_LIMIT_UNITS + 1, cause())).then_refused(QuantityLimit)


def test_changing_a_quantity() -> None:
    held = cart(line("lamp", 2))
    held.when(lambda cart: cart.change_quantity("lamp", 2, cause())).then_nothing()
    held.when(lambda cart: cart.change_quantity("chair", 2, cause())).then_refused(NotFound, id="chair")
    held.when(lambda cart: cart.change_quantity("lamp", 7, cause())).then(event(CartQuantityChanged, quantity=7))
    held.when(lambda cart: cart.change_quantity("lamp", 0, cause())).then(event(CartItemRemoved, product_id="lamp"))
    held.when(lambda cart: cart.change_quantity("lamp", 0, cause())).then_nothing()


def test_merging_keeps_the_higher_of_two_quantities() -> None:
    ours, theirs = cart(line("lamp", 2), line("chair", 1)), guests(line("lamp", 1), line("chair", 4), line("sofa", 1))

    outcome = ours.when(lambda cart: cart.merge(theirs.aggregate, cause()))

    lines = (line("lamp", 2), line("chair", 4), line("sofa", 1))
    outcome.then(event(CartMerged, guest_cart_id=str(theirs.aggregate.id), lines=lines))
    theirs.when(lambda _: None).then(event(CartMergedAway, into_cart_id=str(ours.aggregate.id)))
    assert theirs.aggregate.closed


def test_merging_what_is_there_already_closes_the_guests_cart_only() -> None:
    ours, theirs = cart(line("lamp", 2)), guests(line("lamp", 1))
    ours.when(lambda cart: cart.merge(theirs.aggregate, cause())).then_nothing()
    theirs.when(lambda _: None).then(event(CartMergedAway))
    ours.when(lambda cart: cart.merge(theirs.aggregate, cause())).then_nothing()
    theirs.when(lambda _: None).then_nothing()


def test_merging_into_a_cart_that_was_checked_out_opens_it_again() -> None:
    ours = checked_out(line("lamp", 1))
    ours.when(lambda cart: cart.merge(guests(line("chair", 1)).aggregate, cause())).then(
        event(CartReopened), event(CartMerged, lines=(line("chair", 1),))
    )


def test_a_guests_cart_is_not_taken_from_under_its_checkout() -> None:
    theirs = guests(line("lamp", 1))
    theirs.when(lambda cart: cart.begin_checkout("o1", cause()))
    outcome = cart().when(lambda cart: cart.merge(theirs.aggregate, cause()))
    outcome.then_refused(CheckoutInProgress, order_id="o1")
    theirs.when(lambda _: None).then_nothing()


def test_carts_of_two_currencies_are_not_merged() -> None:
    theirs = guests(line("chair", 1, currency="EUR"))
    outcome = cart(line("lamp", 1)).when(lambda cart: cart.merge(theirs.aggregate, cause()))
    outcome.then_refused(CurrencyMismatch)
    theirs.when(lambda _: None).then_nothing()


def test_one_checkout_at_a_time() -> None:
    held = cart(line("lamp", 1))
    held.when(lambda cart: cart.begin_checkout("o1", cause())).then(event(CartCheckoutBegun, order_id="o1"))
    held.when(lambda cart: cart.begin_checkout("o2", cause())).then_refused(CheckoutInProgress, order_id="o1")
    held.when(lambda cart: cart.abandon_checkout("o2", cause())).then_refused(RuleBroken, order_id="o2")
    held.when(lambda cart: cart.abandon_checkout("o1", cause())).then(event(CartCheckoutAbandoned))
    held.when(lambda cart: cart.begin_checkout("o2", cause())).then(event(CartCheckoutBegun, order_id="o2"))


def test_an_empty_cart_is_not_checked_out() -> None:
    cart().when(lambda cart: cart.begin_checkout("o1", cause())).then_refused(EmptyCart)
    checked_out(line("lamp", 1)).when(lambda cart: cart.begin_checkout("o2", cause())).then_refused(EmptyCart)


def test_what_was_added_during_a_checkout_stays() -> None:
    held = cart(line("lamp", 2))
    held.when(lambda cart: cart.begin_checkout("o1", cause()))
    held.when(lambda cart: cart.add(line("lamp", 1), cause()))
    held.when(lambda cart: cart.add(line("chair", 1), cause()))

    held.when(lambda cart: cart.check_out("o1", (Item("lamp", 2),), cause())).then(event(CartCheckedOut, order_id="o1"))

    assert held.aggregate.lines == {"lamp": line("lamp", 1), "chair": line("chair", 1)}
    assert not held.aggregate.closed


def test_a_closed_cart_is_opened_by_what_is_put_in() -> None:
    closed = checked_out(line("lamp", 1))
    assert closed.aggregate.closed
    closed.when(lambda cart: cart.clear(cause())).then_nothing()
    closed.when(lambda cart: cart.add(line("chair", 1), cause())).then(event(CartReopened), event(CartItemAdded))
