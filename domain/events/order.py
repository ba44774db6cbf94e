from __future__ import annotations

from typing import ClassVar

from domain.events.base import Created, Event
from domain.values import Address, Item, Money, OrderLine, ShipmentPlan


class OrderSubmitted(Created):
    """The stock is reserved and the payment asked for. `subtotal`, `shipping_fee` and `tax` add up to `total`."""

    TOPIC: ClassVar[str] = "order.submitted.v1"
    owner: str
    cart_id: str
    lines: tuple[OrderLine, ...]
    subtotal: Money
    shipping_fee: Money
    tax: Money
    total: Money
    shipping_address: Address
    shipping_method: str
    shipments: tuple[ShipmentPlan, ...]


class OrderPlaced(Event):
    """The payment is authorised, or taken already (`payment_captured`), and the stock sold."""

    TOPIC: ClassVar[str] = "order.placed.v2"
    payment_reference: str
    payment_captured: bool


class OrderPaymentCaptured(Event):
    """The money is taken: all of the total but what was to go back before."""

    TOPIC: ClassVar[str] = "order.payment_captured.v1"
    amount: Money
    reference: str


class OrderPaymentReleased(Event):
    """Nothing was taken, and what was held is let go."""

    TOPIC: ClassVar[str] = "order.payment_released.v1"
    reference: str


class OrderPaymentFailed(Event):
    TOPIC: ClassVar[str] = "order.payment_failed.v1"
    reason: str


class ShipmentPacked(Event):
    """The first shipment that is packed puts the others into `processing`."""

    TOPIC: ClassVar[str] = "order.shipment_packed.v1"
    shipment_id: str


class ShipmentShipped(Event):
    TOPIC: ClassVar[str] = "order.shipment_shipped.v1"
    shipment_id: str
    carrier: str
    tracking_number: str


class ShipmentDelivered(Event):
    TOPIC: ClassVar[str] = "order.shipment_delivered.v1"
    shipment_id: str


class OrderCancelled(Event):
    TOPIC: ClassVar[str] = "order.cancelled.v1"
    reason: str | None


class ReturnRequested(Event):
    """`refund` is what will be paid back once the items are received."""

    TOPIC: ClassVar[str] = "order.return_requested.v1"
    return_id: str
    items: tuple[Item, ...]
    reason: str
    refund: Money


class ReturnReceived(Event):
    TOPIC: ClassVar[str] = "order.return_received.v1"
    return_id: str


class OrderRefunded(Event):
    """Money went back. `refund_id` is the cancellation's or the return's."""

    TOPIC: ClassVar[str] = "order.refunded.v1"
    refund_id: str
    amount: Money
    reference: str
