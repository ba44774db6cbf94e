"""A cart as its shopper left it: prices are those seen when the items went in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from domain.events import AnyEvent
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
from domain.values import CartLine
from projections.versions import advance


class CartView(Struct, frozen=True):
    cart_id: str
    version: int
    lines: tuple[CartLine, ...]


def evolve(view: CartView | None, event: AnyEvent) -> CartView:
    """The cart after `event`; as it is when that was applied before. Raises VersionGap."""
    return advance(view, event, _opened, _CHANGES)


def _opened(event: CartOpened) -> CartView:
    return CartView(str(event.originator_id), event.originator_version, ())


def _item_added(view: CartView, event: CartItemAdded) -> CartView:
    lines = _by_product(view)
    held = lines.get(event.line.product_id)
    quantity = event.line.quantity + (held.quantity if held else 0)
    lines[event.line.product_id] = _with_quantity(event.line, quantity)
    return _with_lines(view, event, lines.values())


def _quantity_changed(view: CartView, event: CartQuantityChanged) -> CartView:
    lines = _by_product(view)
    lines[event.product_id] = _with_quantity(lines[event.product_id], event.quantity)
    return _with_lines(view, event, lines.values())


def _item_removed(view: CartView, event: CartItemRemoved) -> CartView:
    lines = _by_product(view)
    del lines[event.product_id]
    return _with_lines(view, event, lines.values())


def _emptied(view: CartView, event: CartCleared | CartMergedAway) -> CartView:
    return _with_lines(view, event, ())


def _merged(view: CartView, event: CartMerged) -> CartView:
    return _with_lines(view, event, event.lines)


def _checked_out(view: CartView, event: CartCheckedOut) -> CartView:
    lines = _by_product(view)
    for item in event.items:
        held = lines.get(item.product_id)
        if held is None:
            continue
        if held.quantity > item.quantity:
            lines[item.product_id] = _with_quantity(held, held.quantity - item.quantity)
        else:
            del lines[item.product_id]
    return _with_lines(view, event, lines.values())


def _unchanged(view: CartView, event: AnyEvent) -> CartView:
    return replace(view, version=event.originator_version)


def _by_product(view: CartView) -> dict[str, CartLine]:
    return {line.product_id: line for line in view.lines}


def _with_quantity(line: CartLine, quantity: int) -> CartLine:
    return CartLine(line.product_id, line.title, quantity, line.unit_price)


def _with_lines(view: CartView, event: AnyEvent, lines: Iterable[CartLine]) -> CartView:
    return CartView(view.cart_id, event.originator_version, tuple(lines))


_CHANGES: dict[type, Callable[[CartView, Any], CartView]] = {
    CartReopened: _unchanged,
    CartItemAdded: _item_added,
    CartQuantityChanged: _quantity_changed,
    CartItemRemoved: _item_removed,
    CartCleared: _emptied,
    CartMerged: _merged,
    CartMergedAway: _emptied,
    CartCheckoutBegun: _unchanged,
    CartCheckoutAbandoned: _unchanged,
    CartCheckedOut: _checked_out,
}
EVENT_TYPES: frozenset[type] = frozenset({CartOpened, *_CHANGES})
