"""An order as its shopper follows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from domain.events import AnyEvent
from domain.events.order import (
    OrderCancelled,
    OrderPaymentCaptured,
    OrderPaymentFailed,
    OrderPaymentReleased,
    OrderPlaced,
    OrderRefunded,
    OrderSubmitted,
    ReturnReceived,
    ReturnRequested,
    ShipmentDelivered,
    ShipmentPacked,
    ShipmentShipped,
)
from domain.values import Address, Item, Money
from projections.versions import advance

ShipmentStatus = Literal["placed", "processing", "packed", "shipped", "delivered"]
Standing = Literal["pending_payment", "placed", "cancelled", "payment_failed", "returned", "refunded"]
OrderStatus = Standing | ShipmentStatus
PaymentStatus = Literal["pending", "authorised", "captured", "failed", "partially_refunded", "refunded", "voided"]
# Least advanced first: with several shipments the least advanced one speaks for the order.
PROGRESS: tuple[ShipmentStatus, ...] = ("placed", "processing", "packed", "shipped", "delivered")


class OrderItem(Struct, frozen=True):
    product_id: str
    title: str
    quantity: int
    unit_price: Money
    line_total: Money


class Payment(Struct, frozen=True):
    status: PaymentStatus
    reference: str | None


class ShippingAddress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    line1: str
    line2: str | None = None
    city: str
    postcode: str
    country: str


class Shipment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    shipment_id: str
    warehouse_id: str
    status: ShipmentStatus
    carrier: str | None = None
    tracking_number: str | None = None
    estimated_delivery: datetime
    items: tuple[Item, ...]


class Return(Struct, frozen=True):
    return_id: str
    status: Literal["requested", "received"]
    items: tuple[Item, ...]
    reason: str
    refund: Money


class StatusChange(Struct, frozen=True):
    status: OrderStatus
    at: datetime
    by: str


class OrderPage(Struct, frozen=True):
    """The JSON that a reader is sent. `placed_at` is null until it is placed."""

    order_id: str
    version: int
    status: OrderStatus
    items: tuple[OrderItem, ...]
    subtotal: Money
    shipping_fee: Money
    tax: Money
    total: Money
    payment: Payment
    shipping_address: ShippingAddress
    shipping_method: str
    shipments: tuple[Shipment, ...]
    returns: tuple[Return, ...]
    placed_at: datetime | None
    history: tuple[StatusChange, ...]


class Ledger(Struct, frozen=True):
    """What the page does not say and the next event needs."""

    submitted_at: datetime
    standing: Standing
    refunded: Money
    payment: Literal["held", "captured", "released"] = "captured"  # as it always was, where a stored view has none


class OrderView(Struct, frozen=True):
    page: OrderPage
    owner: str
    ledger: Ledger

    @property
    def version(self) -> int:
        return self.page.version


def evolve(view: OrderView | None, event: AnyEvent) -> OrderView:
    """The order after `event`; as it is when that was applied before. Raises VersionGap."""
    return advance(view, event, _submitted, _CHANGES)


def _submitted(event: OrderSubmitted) -> OrderView:
    page = OrderPage(
        order_id=str(event.originator_id),
        version=event.originator_version,
        status="pending_payment",
        items=tuple(
            OrderItem(line.product_id, line.title, line.quantity, line.unit_price, line.line_total)
            for line in event.lines
        ),
        subtotal=event.subtotal,
        shipping_fee=event.shipping_fee,
        tax=event.tax,
        total=event.total,
        payment=Payment("pending", None),
        shipping_address=_shipping_address(event.shipping_address),
        shipping_method=event.shipping_method,
        shipments=tuple(
            Shipment(
                shipment_id=plan.shipment_id,
                warehouse_id=plan.warehouse_id,
                status="placed",
                estimated_delivery=plan.estimated_delivery,
                items=plan.items,
            )
            for plan in event.shipments
        ),
        returns=(),
        placed_at=None,
        history=(StatusChange("pending_payment", event.timestamp, event.actor),),
    )
    nothing = Money.zero(event.total.currency)
    return OrderView(page, event.owner, Ledger(event.timestamp, "pending_payment", nothing, "held"))


def _placed(view: OrderView, event: OrderPlaced) -> OrderView:
    payment = replace(view.page.payment, reference=event.payment_reference)
    paid = _with_payment(view, "captured" if event.payment_captured else "held")
    return _changed(paid, event, "placed", placed_at=event.timestamp, payment=payment)


def _payment_captured(view: OrderView, event: OrderPaymentCaptured) -> OrderView:
    return _changed(_with_payment(view, "captured"), event)


def _payment_released(view: OrderView, event: OrderPaymentReleased) -> OrderView:
    return _changed(_with_payment(view, "released"), event)


def _payment_failed(view: OrderView, event: OrderPaymentFailed) -> OrderView:
    return _changed(view, event, "payment_failed")


def _shipment_packed(view: OrderView, event: ShipmentPacked) -> OrderView:
    _shipment(view, event.shipment_id)
    shipments = tuple(_after_packing(shipment, event.shipment_id) for shipment in view.page.shipments)
    return _changed(view, event, shipments=shipments)


def _after_packing(shipment: Shipment, packed_id: str) -> Shipment:
    if shipment.shipment_id == packed_id:
        return replace(shipment, status="packed")
    return replace(shipment, status="processing") if shipment.status == "placed" else shipment


def _shipment_shipped(view: OrderView, event: ShipmentShipped) -> OrderView:
    shipped = replace(
        _shipment(view, event.shipment_id),
        status="shipped",
        carrier=event.carrier,
        tracking_number=event.tracking_number,
    )
    return _changed(view, event, shipments=_with_shipment(view, shipped))


def _shipment_delivered(view: OrderView, event: ShipmentDelivered) -> OrderView:
    delivered = replace(_shipment(view, event.shipment_id), status="delivered")
    return _changed(view, event, shipments=_with_shipment(view, delivered))


def _cancelled(view: OrderView, event: OrderCancelled) -> OrderView:
    return _changed(view, event, "cancelled")


def _return_requested(view: OrderView, event: ReturnRequested) -> OrderView:
    requested = Return(event.return_id, "requested", event.items, event.reason, event.refund)
    return _changed(view, event, returns=(*view.page.returns, requested))


def _return_received(view: OrderView, event: ReturnReceived) -> OrderView:
    if event.return_id not in {r.return_id for r in view.page.returns}:
        raise KeyError(event.return_id)
    returns = tuple(replace(r, status="received") if r.return_id == event.return_id else r for r in view.page.returns)
    received = _units(item for r in returns if r.status == "received" for item in r.items)
    everything = received == _units(view.page.items)
    return _settled(_changed(view, event, "returned" if everything else None, returns=returns), event)


def _refunded(view: OrderView, event: OrderRefunded) -> OrderView:
    ledger = replace(view.ledger, refunded=view.ledger.refunded + event.amount)
    return _settled(_changed(replace(view, ledger=ledger), event), event)


def _settled(view: OrderView, event: AnyEvent) -> OrderView:
    """All is back and all is paid back: also where nothing of it, or of its last part, cost anything."""
    in_full = view.ledger.standing == "returned" and view.ledger.refunded == view.page.total
    return _changed(view, event, "refunded") if in_full else view


def _changed(view: OrderView, event: AnyEvent, standing: Standing | None = None, **fields: Any) -> OrderView:
    """The order with new `fields`, and with what follows from them: its status, the payment's, and the history."""
    ledger = view.ledger if standing is None else replace(view.ledger, standing=standing)
    page = replace(view.page, version=event.originator_version, **fields)
    status = _status(ledger.standing, page.shipments)
    payment_status = _payment_status(ledger, page)
    if payment_status != page.payment.status:
        page = replace(page, payment=replace(page.payment, status=payment_status))
    if status != page.status:
        change = StatusChange(status, event.timestamp, event.actor)
        page = replace(page, status=status, history=(*page.history, change))
    return OrderView(page, view.owner, ledger)


def _payment_status(ledger: Ledger, page: OrderPage) -> PaymentStatus:
    if ledger.standing == "pending_payment":
        return "pending"
    if ledger.standing == "payment_failed" or page.payment.reference is None:
        return "failed"
    if ledger.payment != "captured":
        return "voided" if ledger.payment == "released" else "authorised"
    if ledger.refunded.amount == 0:
        return "captured"
    return "partially_refunded" if ledger.refunded < page.total else "refunded"


def _with_payment(view: OrderView, payment: Literal["held", "captured", "released"]) -> OrderView:
    return replace(view, ledger=replace(view.ledger, payment=payment))


def _status(standing: Standing, shipments: tuple[Shipment, ...]) -> OrderStatus:
    if standing != "placed" or not shipments:
        return standing
    return PROGRESS[min(PROGRESS.index(shipment.status) for shipment in shipments)]


def _shipment(view: OrderView, shipment_id: str) -> Shipment:
    for shipment in view.page.shipments:
        if shipment.shipment_id == shipment_id:
            return shipment
    raise KeyError(shipment_id)


def _with_shipment(view: OrderView, changed: Shipment) -> tuple[Shipment, ...]:
    return tuple(changed if s.shipment_id == changed.shipment_id else s for s in view.page.shipments)


def _shipping_address(address: Address) -> ShippingAddress:
    return ShippingAddress(
        name=address.name,
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        postcode=address.postcode,
        country=address.country,
    )


def _units(items: Iterable[Item | OrderItem]) -> Counter[str]:
    units: Counter[str] = Counter()
    for item in items:
        units[item.product_id] += item.quantity
    return units


_CHANGES: dict[type, Callable[[OrderView, Any], OrderView]] = {
    OrderPlaced: _placed,
    OrderPaymentCaptured: _payment_captured,
    OrderPaymentFailed: _payment_failed,
    OrderPaymentReleased: _payment_released,
    ShipmentPacked: _shipment_packed,
    ShipmentShipped: _shipment_shipped,
    ShipmentDelivered: _shipment_delivered,
    OrderCancelled: _cancelled,
    ReturnRequested: _return_requested,
    ReturnReceived: _return_received,
    OrderRefunded: _refunded,
}
EVENT_TYPES: frozenset[type] = frozenset({OrderSubmitted, *_CHANGES})
