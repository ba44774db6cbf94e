from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from domain.values import CartLine, Money
from projections.availability import Availability
from projections.cart import CartView
from projections.product_page import ProductPage
from queryside.api.models import Cart
from queryside.cart_page import CartItem, CartPage, cart_etag, cart_page
from queryside.views import Product

LINE = CartLine("lamp", "Lamp", 2, Money(1000, "GBP"))
CART = CartView("c1", 3, (LINE,))
PAGE = ProductPage(
    product_id="lamp",
    title="Lamp",
    description=None,
    brand=None,
    category=("Home",),
    price=Money(1000, "GBP"),
    images=(),
    attributes={},
    seller_id=None,
    status="active",
    rating=None,
    review_count=0,
    version=1,
    updated_at=datetime(2026, 3, 1, tzinfo=UTC),
)
LAMP = Product(PAGE, Availability("in_stock", 9))


def test_a_cart_as_it_was_left_has_no_warnings_and_its_version_as_etag() -> None:
    page = cart_page(CART, {"lamp": LAMP}, "GBP")
    assert page.items == (CartItem("lamp", "Lamp", 2, Money(1000, "GBP"), Money(2000, "GBP")),)
    assert page.subtotal == Money(2000, "GBP")
    assert page.warnings == ()
    assert etag_of(page) == '"3"'


def test_a_new_price_counts_and_is_pointed_out() -> None:
    dearer = replace(LAMP, page=msgspec.structs.replace(PAGE, price=Money(1200, "GBP")))
    page = cart_page(CART, {"lamp": dearer}, "GBP")
    assert page.items[0].unit_price == Money(1200, "GBP")
    assert page.subtotal == Money(2400, "GBP")
    assert page.warnings == (
        {"type": "price_changed", "product_id": "lamp", "old": Money(1000, "GBP"), "new": Money(1200, "GBP")},
    )


@pytest.mark.parametrize("amount", [500_000_000_001, 10**12, 10**15])
def test_what_no_order_may_come_to_is_not_reckoned_but_pointed_out(amount: int) -> None:
    """Money of that size, times as many units as a cart may hold, is no exact number in JSON any more."""
    dearer = replace(LAMP, page=msgspec.structs.replace(PAGE, title="Lamp II", price=Money(amount, "GBP")))
    page = cart_page(CART, {"lamp": dearer}, "GBP")
    assert page.items == (CartItem("lamp", "Lamp II", 2, Money(1000, "GBP"), Money(2000, "GBP")),)
    assert page.subtotal == Money(2000, "GBP")
    assert page.warnings == (
        {"type": "price_changed", "product_id": "lamp", "old": Money(1000, "GBP"), "new": Money(amount, "GBP")},
        {"type": "total_limit", "limit": Money(10**12, "GBP")},
    )
    assert etag_of(page) != '"3"'
    Cart.model_validate_json(msgspec.json.encode(page))


def test_what_an_order_may_just_come_to_is_reckoned() -> None:
    dearer = replace(LAMP, page=msgspec.structs.replace(PAGE, price=Money(500_000_000_000, "GBP")))
    assert cart_page(CART, {"lamp": dearer}, "GBP").subtotal == Money(10**12, "GBP")


def test_too_little_stock_is_pointed_out_with_the_figures() -> None:
    page = cart_page(CART, {"lamp": replace(LAMP, availability=Availability("low_stock", 1))}, "GBP")
    assert page.warnings == ({"type": "insufficient_stock", "product_id": "lamp", "requested": 2, "available": 1},)


def test_a_service_needs_no_stock() -> None:
    assert cart_page(CART, {"lamp": replace(LAMP, availability=Availability("in_stock", None))}, "GBP").warnings == ()


def test_what_is_not_sold_at_present_is_pointed_out_and_nothing_else_of_it() -> None:
    inactive = msgspec.structs.replace(PAGE, status="inactive", title="New", price=Money(1200, "GBP"))
    page = cart_page(CART, {"lamp": Product(inactive, Availability("out_of_stock", 0))}, "GBP")
    assert (page.items[0].title, page.subtotal) == ("New", Money(2400, "GBP"))
    assert page.warnings == ({"type": "unavailable", "product_id": "lamp"},)


def test_what_is_not_there_stays_as_it_was_and_is_pointed_out() -> None:
    page = cart_page(CART, {}, "GBP")
    assert (page.items[0].title, page.subtotal) == ("Lamp", Money(2000, "GBP"))
    assert page.warnings == ({"type": "unavailable", "product_id": "lamp"},)


def test_a_cart_that_reads_otherwise_has_another_etag_and_the_same_version_in_front() -> None:
    renamed = replace(LAMP, page=msgspec.structs.replace(PAGE, title="Desk lamp"))
    short = replace(LAMP, availability=Availability("low_stock", 1))
    tags = {etag_of(cart_page(CART, {"lamp": product}, "GBP")) for product in (LAMP, renamed, short)}
    assert len(tags) == 3
    assert all(tag.startswith('"3') and tag.endswith('"') for tag in tags)


def test_without_a_cart_there_is_an_empty_one() -> None:
    assert cart_page(None, {}, "GBP") == CartPage(None, 0, (), Money(0, "GBP"), ())


def etag_of(page: CartPage) -> str:
    return cart_etag(CART, page, msgspec.json.encode(page))
