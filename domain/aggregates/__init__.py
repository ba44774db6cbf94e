"""The aggregates: each decides on commands and evolves by its own events."""

from domain.aggregates.allowance import Allowance
from domain.aggregates.base import EventSourced
from domain.aggregates.cart import Cart
from domain.aggregates.checkout import Checkout
from domain.aggregates.order import Order
from domain.aggregates.product import Product
from domain.aggregates.receipt import Receipt
from domain.aggregates.stock_item import StockItem
from domain.aggregates.stock_locations import StockLocations

__all__ = [
    "Allowance",
    "Cart",
    "Checkout",
    "EventSourced",
    "Order",
    "Product",
    "Receipt",
    "StockItem",
    "StockLocations",
]
