from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from domain.aggregates.base import EventSourced, evolves
from domain.errors import CheckoutInProgress, CurrencyMismatch, EmptyCart, NotFound, QuantityLimit, RuleBroken
from domain.events.cart import (
    CartCheckedOut,
    CartCheckoutAbandoned,
    CartCheckoutBegun,
    CartCleared,
    CartItemAdded,
    CartItemRemoved,
    CartMerged,
    CartMergedAway,
    CartOpened,
    CartQuantityChanged,
    CartReopened,
)
from domain.identity import cart_stream
from domain.values import CartLine, Cause, Item

LINES_LIMIT_COUNT = 1_000
QUANTITY_LIMIT_UNITS = 1_000_000


@dataclass(frozen=True, slots=True)
class CartState:
    owner: str
    closed: bool
    lines: dict[str, CartLine]
    checkout_order_id: str | None


class Cart(EventSourced):
    """What a shopper, guest or customer, means to buy. Nothing in it is reserved: that is checkout's business."""

    TOPIC = "cart"
    STATE = CartState

    @classmethod
    def open(cls, owner: str, cause: Cause) -> Self:
        return cls._start(CartOpened, cart_stream(owner), cause, owner=owner)

    def add(self, line: CartLine, cause: Cause) -> None:
        """Raises QuantityLimit, CurrencyMismatch; RuleBroken when there are too many lines, or fewer than one unit."""
        held = self.lines.get(line.product_id)
        _ensure_positive(line.quantity)
        _ensure_within_limit(line.product_id, line.quantity + (held.quantity if held else 0))
        self._ensure_currency(line)
        if held is None and len(self.lines) >= LINES_LIMIT_COUNT:
            raise RuleBroken(f"A cart holds at most {LINES_LIMIT_COUNT} different products.", limit=LINES_LIMIT_COUNT)
        if self.closed:
            self._trigger(CartReopened, cause)
        self._trigger(CartItemAdded, cause, line=line)

    def change_quantity(self, product_id: str, quantity: int, cause: Cause) -> None:
        """Zero removes. Raises NotFound when the product is not in the cart, QuantityLimit."""
        if quantity == 0:
            self.remove(product_id, cause)
            return
        if product_id not in self.lines:
            raise NotFound("item in the cart", product_id)
        _ensure_positive(quantity)
        _ensure_within_limit(product_id, quantity)
        if self.lines[product_id].quantity != quantity:
            self._trigger(CartQuantityChanged, cause, product_id=product_id, quantity=quantity)

    def remove(self, product_id: str, cause: Cause) -> None:
        """What is not there is removed already: nothing happens."""
        if product_id in self.lines:
            self._trigger(CartItemRemoved, cause, product_id=product_id)

    def clear(self, cause: Cause) -> None:
        if self.lines:
            self._trigger(CartCleared, cause)

    def merge(self, guest: Cart, cause: Cause) -> None:
        """Takes in a guest's cart: per product the higher of the two quantities; the guest's is closed.

        A guest's cart with nothing in it changes nothing here. Raises CheckoutInProgress, CurrencyMismatch.
        """
        if guest.closed:
            return
        if guest.checkout_order_id is not None:
            raise CheckoutInProgress(guest.checkout_order_id)
        lines = dict(self.lines)
        for product_id, theirs in guest.lines.items():
            self._ensure_currency(theirs)
            ours = lines.get(product_id)
            lines[product_id] = theirs if ours is None else replace(ours, quantity=max(ours.quantity, theirs.quantity))
        if len(lines) > LINES_LIMIT_COUNT:
            raise RuleBroken(f"A cart holds at most {LINES_LIMIT_COUNT} different products.", limit=LINES_LIMIT_COUNT)
        if lines != self.lines:
            if self.closed:
                self._trigger(CartReopened, cause)
            self._trigger(CartMerged, cause, guest_cart_id=str(guest.id), lines=tuple(lines.values()))
        guest._trigger(CartMergedAway, cause, into_cart_id=str(self.id))

    def begin_checkout(self, order_id: str, cause: Cause) -> None:
        """Raises CheckoutInProgress, EmptyCart."""
        if self.checkout_order_id is not None:
            raise CheckoutInProgress(self.checkout_order_id)
        if not self.lines:
            raise EmptyCart
        self._trigger(CartCheckoutBegun, cause, order_id=order_id)

    def abandon_checkout(self, order_id: str, cause: Cause) -> None:
        self._ensure_checkout(order_id)
        self._trigger(CartCheckoutAbandoned, cause, order_id=order_id)

    def check_out(self, order_id: str, items: tuple[Item, ...], cause: Cause) -> None:
        self._ensure_checkout(order_id)
        self._trigger(CartCheckedOut, cause, order_id=order_id, items=items)

    def _ensure_checkout(self, order_id: str) -> None:
        if self.checkout_order_id != order_id:
            raise RuleBroken(f"The cart is not being checked out for order {order_id!r}.", order_id=order_id)

    def _ensure_currency(self, line: CartLine) -> None:
        for held in self.lines.values():
            if held.product_id != line.product_id and held.unit_price.currency != line.unit_price.currency:
                raise CurrencyMismatch(held.unit_price.currency, line.unit_price.currency)

    @evolves(CartOpened)
    def _opened(self, event: CartOpened) -> None:
        self.owner = event.owner
        self.closed = False
        self.lines: dict[str, CartLine] = {}
        self.checkout_order_id: str | None = None

    @evolves(CartReopened)
    def _reopened(self, event: CartReopened) -> None:
        self.closed = False

    @evolves(CartItemAdded)
    def _item_added(self, event: CartItemAdded) -> None:
        held = self.lines.get(event.line.product_id)
        quantity = event.line.quantity + (held.quantity if held else 0)
        self.lines[event.line.product_id] = replace(event.line, quantity=quantity)

    @evolves(CartQuantityChanged)
    def _quantity_changed(self, event: CartQuantityChanged) -> None:
        self.lines[event.product_id] = replace(self.lines[event.product_id], quantity=event.quantity)

    @evolves(CartItemRemoved)
    def _item_removed(self, event: CartItemRemoved) -> None:
        del self.lines[event.product_id]

    @evolves(CartCleared)
    def _cleared(self, event: CartCleared) -> None:
        self.lines = {}

    @evolves(CartMerged)
    def _merged(self, event: CartMerged) -> None:
        self.lines = {line.product_id: line for line in event.lines}

    @evolves(CartMergedAway)
    def _merged_away(self, event: CartMergedAway) -> None:
        self.lines = {}
        self.closed = True

    @evolves(CartCheckoutBegun)
    def _checkout_begun(self, event: CartCheckoutBegun) -> None:
        self.checkout_order_id = event.order_id

    @evolves(CartCheckoutAbandoned)
    def _checkout_abandoned(self, event: CartCheckoutAbandoned) -> None:
        self.checkout_order_id = None

    @evolves(CartCheckedOut)
    def _checked_out(self, event: CartCheckedOut) -> None:
        self.checkout_order_id = None
        for item in event.items:
            held = self.lines.get(item.product_id)
            if held is None:
                continue
            if held.quantity > item.quantity:
                self.lines[item.product_id] = replace(held, quantity=held.quantity - item.quantity)
            else:
                del self.lines[item.product_id]
        self.closed = not self.lines


def _ensure_positive(quantity: int) -> None:
    if quantity <= 0:
        raise RuleBroken(f"A quantity is at least 1, not {quantity}.", quantity=quantity)


def _ensure_within_limit(product_id: str, quantity: int) -> None:
    if quantity > QUANTITY_LIMIT_UNITS:
        raise QuantityLimit(product_id, quantity, QUANTITY_LIMIT_UNITS)
