from __future__ import annotations

from typing import ClassVar

from domain.events.base import Created, Event
from domain.values import CartLine, Item


class CartOpened(Created):
    TOPIC: ClassVar[str] = "cart.opened.v1"
    owner: str


class CartReopened(Event):
    """A cart that was checked out or merged away is used again, empty."""

    TOPIC: ClassVar[str] = "cart.reopened.v1"


class CartItemAdded(Event):
    """`line.quantity` is how many were added, on top of what was there."""

    TOPIC: ClassVar[str] = "cart.item_added.v1"
    line: CartLine


class CartQuantityChanged(Event):
    TOPIC: ClassVar[str] = "cart.quantity_changed.v1"
    product_id: str
    quantity: int


class CartItemRemoved(Event):
    TOPIC: ClassVar[str] = "cart.item_removed.v1"
    product_id: str


class CartCleared(Event):
    TOPIC: ClassVar[str] = "cart.cleared.v1"


class CartMerged(Event):
    """A guest's cart came in at sign-in. `lines` are the whole cart afterwards."""

    TOPIC: ClassVar[str] = "cart.merged.v1"
    guest_cart_id: str
    lines: tuple[CartLine, ...]


class CartMergedAway(Event):
    """This guest's cart went into a customer's and is closed."""

    TOPIC: ClassVar[str] = "cart.merged_away.v1"
    into_cart_id: str


class CartCheckoutBegun(Event):
    TOPIC: ClassVar[str] = "cart.checkout_begun.v1"
    order_id: str


class CartCheckoutAbandoned(Event):
    """The checkout came to nothing; the cart is as it was."""

    TOPIC: ClassVar[str] = "cart.checkout_abandoned.v1"
    order_id: str


class CartCheckedOut(Event):
    """The `items` were ordered. What was added meanwhile stays; with nothing left the cart is closed."""

    TOPIC: ClassVar[str] = "cart.checked_out.v1"
    order_id: str
    items: tuple[Item, ...]
