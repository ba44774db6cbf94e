"""What a letter says: a template in a file for each kind, filled in from the order as it was then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any, Final

from domain.events import AnyEvent
from domain.events.order import (
    OrderCancelled,
    OrderPlaced,
    OrderRefunded,
    OrderSubmitted,
    ShipmentDelivered,
    ShipmentShipped,
)
from domain.values import Item, Money, minor_digits
from projections.order import OrderView, Shipment, evolve

KINDS: Final[Mapping[type, str]] = {
    OrderPlaced: "placed",
    ShipmentShipped: "shipped",
    ShipmentDelivered: "delivered",
    OrderCancelled: "cancelled",
    OrderRefunded: "refunded",
}
_SUBJECT: Final = "Subject: "


def owner(stream: Sequence[AnyEvent]) -> str:
    """Whose order it is. Raises ValueError for what is no order's stream from its beginning."""
    submitted = stream[0] if stream else None
    if not isinstance(submitted, OrderSubmitted):
        raise ValueError("an order that does not begin with its submission")
    return submitted.owner


def write(stream: Sequence[AnyEvent]) -> tuple[str, str]:
    """Subject and body of the letter about the last event of an order's stream, which is given from its beginning.

    Raises ValueError where there is nothing to say about such an event; whatever `evolve` raises.
    """
    kind = KINDS.get(type(stream[-1])) if stream else None
    view: OrderView | None = None
    for event in stream:
        view = evolve(view, event)
    if kind is None or view is None:
        raise ValueError("there is nothing to say about this event")
    filled = _template(kind).substitute(_common(view), **_FACTS[kind](view, stream[-1]))
    subject, _, body = filled.partition("\n\n")
    return subject.removeprefix(_SUBJECT), body


def money(amount: Money) -> str:
    """`GBP 1,299.00`, `JPY 1,299`. The code and no sign: a dollar sign says nothing of whose dollars."""
    digits = minor_digits(amount.currency)
    whole, minor = divmod(abs(amount.amount), 10**digits)
    sign = "-" if amount.amount < 0 else ""
    decimals = f".{minor:0{digits}d}" if digits else ""
    return f"{amount.currency} {sign}{whole:,}{decimals}"


def _common(view: OrderView) -> dict[str, str]:
    return {"name": one_line(view.page.shipping_address.name), "order_id": view.page.order_id}


def _placed(view: OrderView, _: Any) -> dict[str, str]:
    page = view.page
    return {
        "items": "\n".join(
            f"  {item.quantity} × {one_line(item.title)}: {money(item.line_total)}" for item in page.items
        ),
        "subtotal": money(page.subtotal),
        "shipping_fee": money(page.shipping_fee),
        "tax": money(page.tax),
        "total": money(page.total),
        "address": "\n".join(f"  {line}" for line in _address(view)),
    }


def _shipped(view: OrderView, event: ShipmentShipped) -> dict[str, str]:
    shipment = _shipment(view, event.shipment_id)
    return {
        "items": _titles(view, shipment.items),
        "carrier": one_line(event.carrier),
        "tracking_number": one_line(event.tracking_number),
        "estimated_delivery": f"{shipment.estimated_delivery:%A} {shipment.estimated_delivery.day} "
        f"{shipment.estimated_delivery:%B %Y}",
    }


def _delivered(view: OrderView, event: ShipmentDelivered) -> dict[str, str]:
    return {"items": _titles(view, _shipment(view, event.shipment_id).items)}


def _cancelled(view: OrderView, _: OrderCancelled) -> dict[str, str]:
    was_paid = view.page.placed_at is not None
    return {"payment": "What you have paid will be refunded." if was_paid else "You have not been charged."}


def _refunded(_: OrderView, event: OrderRefunded) -> dict[str, str]:
    return {"amount": money(event.amount)}


def _shipment(view: OrderView, shipment_id: str) -> Shipment:
    return next(shipment for shipment in view.page.shipments if shipment.shipment_id == shipment_id)


def _titles(view: OrderView, items: Iterable[Item]) -> str:
    titles = {item.product_id: item.title for item in view.page.items}
    return "\n".join(f"  {item.quantity} × {one_line(titles.get(item.product_id, item.product_id))}" for item in items)


def _address(view: OrderView) -> list[str]:
    address = view.page.shipping_address
    lines = (address.name, address.line1, address.line2, address.city, address.postcode, address.country)
    return [one_line(line) for line in lines if line]


def one_line(text: str) -> str:
    """What somebody typed in cannot begin a line of its own."""
    return " ".join(text.split())


@cache
def _templates() -> Mapping[str, Template]:
    folder = files("projections.notifications") / "templates"
    return {kind: Template((folder / f"{kind}.txt").read_text(encoding="utf-8")) for kind in KINDS.values()}


def _template(kind: str) -> Template:
    return _templates()[kind]


_FACTS: Final[Mapping[str, Callable[[OrderView, Any], dict[str, str]]]] = {
    "placed": _placed,
    "shipped": _shipped,
    "delivered": _delivered,
    "cancelled": _cancelled,
    "refunded": _refunded,
}
