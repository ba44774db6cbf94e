"""Carts: what was put in is in, what a guest brought is not lost, and one checkout at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from counterfoil.simulation.checker.evidence import Event

Quantities = dict[str, int]


@dataclass(slots=True)
class Merge:
    """What one cause merged: `own` as it was before, and what the guest's cart had."""

    cause: str
    into: str
    own: Quantities
    guests: Quantities = field(default_factory=dict)


@dataclass(slots=True)
class CartBook:
    """`lines_at`: by stream and version, of those that were asked for. `ordered`: by order, as its checkout began."""

    lines: dict[str, Quantities] = field(default_factory=dict)
    lines_at: dict[tuple[str, int], Quantities] = field(default_factory=dict)
    ordered: dict[str, Quantities] = field(default_factory=dict)
    in_checkout: dict[str, str] = field(default_factory=dict)
    merge: Merge | None = None
    violations: list[str] = field(default_factory=list)


def read_carts(events: Iterable[Event], wanted: Collection[tuple[Any, Any]]) -> CartBook:
    """`wanted` are streams and versions that somebody was told."""
    book = CartBook()
    for event in events:
        if book.merge is not None and book.merge.cause != event.cause:
            _end_merge(book)
        _take(book, event)
        if (event.stream, event.version) in wanted:
            book.lines_at[event.stream, event.version] = dict(book.lines[event.stream])
    _end_merge(book)
    book.violations += [f"cart {cart} is in checkout {id_} for ever" for cart, id_ in book.in_checkout.items()]
    return book


def _take(book: CartBook, event: Event) -> None:
    data, cart = event.data, event.stream
    lines = book.lines.setdefault(cart, {})
    match event.topic:
        case "cart.item_added.v1":
            line = data["line"]
            lines[line["product_id"]] = lines.get(line["product_id"], 0) + line["quantity"]
        case "cart.quantity_changed.v1":
            lines[data["product_id"]] = data["quantity"]
        case "cart.item_removed.v1":
            lines.pop(data["product_id"], None)
        case "cart.cleared.v1":
            lines.clear()
        case "cart.merged.v1":
            book.merge = book.merge or Merge(event.cause, cart, lines)
            book.lines[cart] = {line["product_id"]: line["quantity"] for line in data["lines"]}
        case "cart.merged_away.v1":
            into = data["into_cart_id"]
            book.merge = book.merge or Merge(event.cause, into, dict(book.lines.get(into, {})))
            book.merge.guests = dict(lines)
            lines.clear()
        case "cart.checkout_begun.v1":
            if cart in book.in_checkout:
                book.violations.append(f"two checkouts of cart {cart} at once, at {event.position}")
            book.in_checkout[cart] = data["order_id"]
            book.ordered[data["order_id"]] = dict(lines)
        case "cart.checkout_abandoned.v1" | "cart.checked_out.v1":
            _end_checkout(book, event, lines)


def _end_checkout(book: CartBook, event: Event, lines: Quantities) -> None:
    if book.in_checkout.pop(event.stream, None) != event.data["order_id"]:
        book.violations.append(f"{event.topic} of a cart that is not in that checkout, at {event.position}")
    for item in event.data.get("items", ()):
        left = lines.get(item["product_id"], 0) - item["quantity"]
        if left > 0:
            lines[item["product_id"]] = left
        else:
            lines.pop(item["product_id"], None)


def _end_merge(book: CartBook) -> None:
    """Per product the higher of the two quantities."""
    merge, book.merge = book.merge, None
    if merge is None:
        return
    own, guests = merge.own, merge.guests
    expected = own | {product_id: max(quantity, own.get(product_id, 0)) for product_id, quantity in guests.items()}
    merged = book.lines.get(merge.into, {})
    if merged != expected:
        book.violations.append(f"{merge.cause} merged {guests} into {own} and came to {merged}")
