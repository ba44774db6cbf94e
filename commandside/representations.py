"""What the command API says of aggregates: the shapes of the HTTP contract, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from domain.aggregates import Cart, Order, Product, StockItem
from domain.aggregates.shipment import Shipment
from domain.values import Item, Money

Json = dict[str, Any]


def money(value: Money) -> Json:
    return {"amount": value.amount, "currency": value.currency}


def time(value: datetime) -> str:
    """RFC 3339 in UTC; microseconds only where there are any."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def stock(item: StockItem) -> Json:
    return {
        "sku": item.sku,
        "warehouse_id": item.warehouse_id,
        "on_hand": item.on_hand,
        "reserved": item.reserved,
        "available": item.available,
    }


def cart(cart: Cart, products: Mapping[str, Product], currency: str) -> Json:
    """At the prices of now, with a warning where one is not what was shown, or the product is not sold any more."""
    items: list[Json] = []
    warnings: list[Json] = []
    subtotal = 0
    for line in cart.lines.values():
        product = products[line.product_id]
        currency = product.price.currency
        subtotal += product.price.amount * line.quantity
        items.append(
            {
                "product_id": line.product_id,
                "title": product.details.title,
                "quantity": line.quantity,
                "unit_price": money(product.price),
                "line_total": money(product.price * line.quantity),
            }
        )
        if not product.active:
            warnings.append({"type": "unavailable", "product_id": line.product_id})
        elif product.price != line.unit_price:
            figures = {"old": money(line.unit_price), "new": money(product.price)}
            warnings.append({"type": "price_changed", "product_id": line.product_id, **figures})
    return {
        "cart_id": str(cart.id),
        "version": cart.version,
        "items": items,
        "subtotal": money(Money(subtotal, currency)),
        "warnings": warnings,
    }


def empty_cart(currency: str) -> Json:
    """The cart of somebody who has none yet."""
    subtotal = money(Money.zero(currency))
    return {"cart_id": None, "version": 0, "items": [], "subtotal": subtotal, "warnings": []}


def order(order: Order) -> Json:
    return {
        "order_id": order.order_id,
        "version": order.version,
        "status": order.status,
        "items": [
            {
                "product_id": line.product_id,
                "title": line.title,
                "quantity": line.quantity,
                "unit_price": money(line.unit_price),
                "line_total": money(line.line_total),
            }
            for line in order.lines
        ],
        "subtotal": money(order.totals.subtotal),
        "shipping_fee": money(order.totals.shipping_fee),
        "tax": money(order.totals.tax),
        "total": money(order.totals.total),
        "payment": {"status": order.payment_status, "reference": order.payment_reference},
        "shipping_address": _given(asdict(order.shipping_address)),
        "shipping_method": order.shipping_method,
        "shipments": [_shipment(shipment) for shipment in order.shipments.values()],
        "returns": [
            {
                "return_id": r.return_id,
                "status": "received" if r.received else "requested",
                "items": _items(r.items),
                "reason": r.reason,
                "refund": money(r.refund),
            }
            for r in order.returns.values()
        ],
        "placed_at": time(order.placed_at) if order.placed_at else None,
        "history": [{"status": c.status, "at": time(c.at), "by": c.by} for c in order.history],
    }


def pending_order(order: Order) -> Json:
    return {"order_id": order.order_id, "status": order.status}


def _shipment(shipment: Shipment) -> Json:
    return _given(
        {
            "shipment_id": shipment.shipment_id,
            "warehouse_id": shipment.warehouse_id,
            "status": shipment.status,
            "carrier": shipment.carrier,
            "tracking_number": shipment.tracking_number,
            "estimated_delivery": time(shipment.estimated_delivery),
            "items": _items(shipment.items),
        }
    )


def _items(items: tuple[Item, ...]) -> list[Json]:
    return [{"product_id": item.product_id, "quantity": item.quantity} for item in items]


def _given(members: Json) -> Json:
    return {name: value for name, value in members.items() if value is not None}
