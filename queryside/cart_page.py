"""A cart as it would be bought now: today's titles and prices, and what has changed since the items went in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from projections.cart import CartView
from projections.vocabulary import TOTAL_LIMIT_MINOR, CartLine, Money
from queryside.product_pages import etag
from queryside.views import Product

_encode = msgspec.json.Encoder().encode


class CartItem(Struct, frozen=True):
    product_id: str
    title: str
    quantity: int
    unit_price: Money
    line_total: Money


class CartPage(Struct, frozen=True):
    """`cart_id` is None, and the version 0, while there is no cart."""

    cart_id: str | None
    version: int
    items: tuple[CartItem, ...]
    subtotal: Money
    warnings: tuple[dict[str, Any], ...]


def cart_page(cart: CartView | None, products: Mapping[str, Product], currency: str) -> CartPage:
    """`products` are those of the cart that there still are; `currency` is that of an empty cart's subtotal.

    No order may come to more than the limit, and the command API refuses what would make a cart of it. A price that was
    raised since can: then the figures are those at which the goods went in, and the warnings say so and give the prices
    of now. Products of limits are no longer exact as JSON numbers (2^53).
    """
    if cart is None:
        return CartPage(None, 0, (), Money.zero(currency), ())
    found = [(line, products.get(line.product_id)) for line in cart.lines]
    items = tuple(_item(line, product) for line, product in found)
    warnings = [warning for line, product in found for warning in _warnings(line, product)]
    subtotal = _subtotal(items, currency)
    if subtotal.amount > TOTAL_LIMIT_MINOR:
        items = tuple(_item(line, product, at_price=line.unit_price) for line, product in found)
        subtotal = _subtotal(items, currency)
        warnings.append({"type": "total_limit", "limit": Money(TOTAL_LIMIT_MINOR, subtotal.currency)})
    return CartPage(cart.cart_id, cart.version, items, subtotal, tuple(warnings))


def cart_etag(cart: CartView | None, page: CartPage, body: bytes) -> str:
    """The version, as commands know it, while the page says what the cart says; else with a digest of what differs."""
    as_left = tuple(_item(line, None) for line in cart.lines) if cart else ()
    if page.items == as_left and not page.warnings:
        return f'"{page.version}"'
    return f'"{page.version}-{etag(body)[1:]}'


def _item(line: CartLine, product: Product | None, at_price: Money | None = None) -> CartItem:
    """As the product is now; as it was when it went in, when the product is not there."""
    title, price = (product.page.title, product.page.price) if product else (line.title, line.unit_price)
    price = at_price or price
    return CartItem(line.product_id, title, line.quantity, price, price * line.quantity)


def _subtotal(items: Sequence[CartItem], currency: str) -> Money:
    return Money.total((item.line_total for item in items), items[0].unit_price.currency if items else currency)


def _warnings(line: CartLine, product: Product | None) -> list[dict[str, Any]]:
    if product is None or product.page.status == "inactive":
        return [{"type": "unavailable", "product_id": line.product_id}]
    found: list[dict[str, Any]] = []
    if product.page.price != line.unit_price:
        found.append(
            {
                "type": "price_changed",
                "product_id": line.product_id,
                "old": line.unit_price,
                "new": product.page.price,
            }
        )
    available = product.availability.quantity
    if available is not None and available < line.quantity:
        found.append(
            {
                "type": "insufficient_stock",
                "product_id": line.product_id,
                "requested": line.quantity,
                "available": available,
            }
        )
    return found
