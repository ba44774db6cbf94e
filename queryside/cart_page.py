"""A cart as it would be bought now: today's titles and prices, and what has changed since the items went in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from projections.cart import CartView
from projections.vocabulary import CartLine, Money
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
    """`products` are those of the cart that there still are; `currency` is that of an empty cart's subtotal."""
    if cart is None:
        return CartPage(None, 0, (), Money.zero(currency), ())
    items: list[CartItem] = []
    warnings: list[dict[str, Any]] = []
    for line in cart.lines:
        product = products.get(line.product_id)
        items.append(_item(line, product))
        warnings += _warnings(line, product)
    subtotal = Money.total((item.line_total for item in items), items[0].unit_price.currency if items else currency)
    return CartPage(cart.cart_id, cart.version, tuple(items), subtotal, tuple(warnings))


def cart_etag(cart: CartView | None, page: CartPage, body: bytes) -> str:
    """The version, as commands know it, while the page says what the cart says; else with a digest of what differs."""
    as_left = tuple(_item(line, None) for line in cart.lines) if cart else ()
    if page.items == as_left and not page.warnings:
        return f'"{page.version}"'
    return f'"{page.version}-{etag(body)[1:]}'


def _item(line: CartLine, product: Product | None) -> CartItem:
    """As the product is now; as it was when it went in, when the product is not there."""
    title, price = (product.page.title, product.page.price) if product else (line.title, line.unit_price)
    return CartItem(line.product_id, title, line.quantity, price, price * line.quantity)


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
