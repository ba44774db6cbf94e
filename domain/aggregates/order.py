from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from domain.aggregates.base import EventSourced, evolves
from domain.aggregates.shipment import PROGRESS, Shipment, ShipmentStatus
from domain.errors import InvalidTransition, NotFound, NotReturnable, RuleBroken
from domain.events.base import AnyEvent
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
from domain.pricing import Totals
from domain.values import Address, Cause, Item, Money, OrderLine, ShipmentPlan, StockClaim

Standing = Literal["pending_payment", "placed", "cancelled", "payment_failed", "returned", "refunded"]
OrderStatus = Standing | ShipmentStatus
PaymentStatus = Literal["pending", "authorised", "captured", "failed", "partially_refunded", "refunded", "voided"]


@dataclass(frozen=True, slots=True)
class Return:
    return_id: str
    items: tuple[Item, ...]
    reason: str
    refund: Money
    received: bool = False

    def asks_for(self, items: Sequence[Item], reason: str) -> bool:
        """Whether this is what such a request came to."""
        return self.reason == reason and _by_product(self.items) == _by_product(items)


@dataclass(frozen=True, slots=True)
class StatusChange:
    status: OrderStatus
    at: datetime
    by: str


class Order(EventSourced):
    """What was sold to whom, and what became of it. `status` is what the shopper is told.

    pending_payment -> placed | payment_failed | cancelled; placed -> [processing ->] packed -> shipped -> delivered,
    each shipment on its own; placed -> cancelled until something is packed; what was shipped -> returned -> refunded.
    """

    TOPIC = "order"

    @classmethod
    def submit(
        cls,
        order_id: UUID,
        owner: str,
        cart_id: UUID,
        lines: tuple[OrderLine, ...],
        totals: Totals,
        shipping_address: Address,
        shipping_method: str,
        shipments: tuple[ShipmentPlan, ...],
        cause: Cause,
    ) -> Self:
        return cls._start(
            OrderSubmitted,
            order_id,
            cause,
            owner=owner,
            cart_id=str(cart_id),
            lines=lines,
            subtotal=totals.subtotal,
            shipping_fee=totals.shipping_fee,
            tax=totals.tax,
            total=totals.total,
            shipping_address=shipping_address,
            shipping_method=shipping_method,
            shipments=shipments,
        )

    @property
    def order_id(self) -> str:
        return str(self.id)

    @property
    def status(self) -> OrderStatus:
        if self.standing != "placed" or not self.shipments:
            return self.standing
        return PROGRESS[min(shipment.progress for shipment in self.shipments.values())]

    @property
    def payment_status(self) -> PaymentStatus:
        if self.standing == "pending_payment":
            return "pending"
        if self.standing == "payment_failed" or self.payment_reference is None:
            return "failed"
        if not self.payment_captured:
            return "voided" if self.payment_released else "authorised"
        if self.refunded.amount == 0:
            return "captured"
        return "partially_refunded" if self.refunded < self.totals.total else "refunded"

    @property
    def can_be_cancelled(self) -> bool:
        """Not once something is packed, or sent back: an order of services alone stays placed while it is."""
        return self.status in ("pending_payment", "placed") and not self.returns

    def place(self, payment_reference: str, payment_captured: bool, cause: Cause) -> None:
        self._ensure_standing("pending_payment", "placed")
        self._trigger(OrderPlaced, cause, payment_reference=payment_reference, payment_captured=payment_captured)

    def capture_payment(self, amount: Money, reference: str, cause: Cause) -> None:
        self._ensure_payment_held("captured")
        self._trigger(OrderPaymentCaptured, cause, amount=amount, reference=reference)

    def release_payment(self, reference: str, cause: Cause) -> None:
        self._ensure_payment_held("voided")
        self._trigger(OrderPaymentReleased, cause, reference=reference)

    def fail_payment(self, reason: str, cause: Cause) -> None:
        self._ensure_standing("pending_payment", "payment_failed")
        self._trigger(OrderPaymentFailed, cause, reason=reason)

    def pack(self, shipment_id: str, cause: Cause) -> None:
        self._ensure_shipment(shipment_id, ("placed", "processing"), "packed")
        self._trigger(ShipmentPacked, cause, shipment_id=shipment_id)

    def ship(self, shipment_id: str, carrier: str, tracking_number: str, cause: Cause) -> None:
        self._ensure_shipment(shipment_id, ("packed",), "shipped")
        self._trigger(ShipmentShipped, cause, shipment_id=shipment_id, carrier=carrier, tracking_number=tracking_number)

    def deliver(self, shipment_id: str, cause: Cause) -> None:
        self._ensure_shipment(shipment_id, ("shipped",), "delivered")
        self._trigger(ShipmentDelivered, cause, shipment_id=shipment_id)

    def cancel(self, reason: str | None, cause: Cause) -> None:
        """Until the first shipment is packed, also while the payment is awaited (which is then not to be made).

        Raises InvalidTransition; RuleBroken once something is sent back.
        """
        if self.status not in ("pending_payment", "placed"):
            raise InvalidTransition("order", self.status, "cancelled")
        if self.returns:  # an order of services alone stays placed while it is sent back
            raise RuleBroken("Some of this order was sent back: it can no longer be cancelled.")
        self._trigger(OrderCancelled, cause, reason=reason)

    def request_return(self, return_id: str, items: Sequence[Item], reason: str, cause: Cause) -> None:
        """Of what has left the warehouse and was not taken back before. Raises NotReturnable, NotFound.

        RuleBroken when there is a return of this id, or when less than one unit would come back.
        """
        if return_id in self.returns:
            raise RuleBroken(f"There is a return {return_id!r} already.", return_id=return_id)
        if not items or any(item.quantity <= 0 for item in items):
            raise RuleBroken("At least one unit of each product comes back.")
        wanted = _by_product(items)
        returnable = self.returnable
        for product_id, quantity in wanted.items():
            if product_id not in self._lines_by_product:
                raise NotFound("product in the order", product_id)
            if quantity > returnable[product_id]:
                raise NotReturnable(
                    f"{returnable[product_id]} of {product_id!r} can be returned, not {quantity}.",
                    product_id=product_id,
                    requested=quantity,
                    returnable=returnable[product_id],
                )
        taken = tuple(Item(product_id, quantity) for product_id, quantity in wanted.items())
        self._trigger(
            ReturnRequested, cause, return_id=return_id, items=taken, reason=reason, refund=self._refund_for(wanted)
        )

    def receive_return(self, return_id: str, cause: Cause) -> None:
        """Nothing happens when it came in before. Raises NotFound."""
        if not self.find_return(return_id).received:
            self._trigger(ReturnReceived, cause, return_id=return_id)

    def refund(self, refund_id: str, amount: Money, reference: str, cause: Cause) -> None:
        """Money went back. Raises RuleBroken when more did than came."""
        if refund_id in self.refund_ids:
            return
        if self.totals.total < self.refunded + amount:
            raise RuleBroken("More would be paid back than was paid.")
        self._trigger(OrderRefunded, cause, refund_id=refund_id, amount=amount, reference=reference)

    def find_return(self, return_id: str) -> Return:
        """Raises NotFound."""
        try:
            return self.returns[return_id]
        except KeyError:
            raise NotFound("return", return_id) from None

    @property
    def returnable(self) -> Counter[str]:
        """Units per product that can still be sent back: goods that left a warehouse; services once all goods did."""
        units: Counter[str] = Counter()
        if self.standing != "placed":
            return units
        for shipment in self.shipments.values():
            if shipment.left:
                units.update({item.product_id: item.quantity for item in shipment.items})
        if all(shipment.left for shipment in self.shipments.values()):
            units.update({line.product_id: line.quantity for line in self.lines if line.kind == "service"})
        units.subtract(self._returning)
        return units

    def restock_claims(self, items: Sequence[Item]) -> tuple[StockClaim, ...]:
        """Which warehouses these goods came from and go back to: of the shipments that left, in their order."""
        return tuple(
            StockClaim(item.product_id, shipment.warehouse_id, item.quantity)
            for shipment, item in self._coming_back(items)
        )

    def _coming_back(self, items: Sequence[Item]) -> list[tuple[Shipment, Item]]:
        found: list[tuple[Shipment, Item]] = []
        wanted = _by_product(items)
        for shipment in self.shipments.values():
            if not shipment.left:
                continue
            taken = self.taken_back.get(shipment.shipment_id, {})
            for item in shipment.items:
                quantity = min(wanted[item.product_id], item.quantity - taken.get(item.product_id, 0))
                if quantity > 0:
                    wanted[item.product_id] -= quantity
                    found.append((shipment, Item(item.product_id, quantity)))
        return found

    def _refund_for(self, wanted: Counter[str]) -> Money:
        """The price paid and its share of the tax; the last unit that comes back takes all that is left."""
        promised = Money.total((r.refund for r in self.returns.values()), self.totals.total.currency)
        everything = _by_product([Item(line.product_id, line.quantity) for line in self.lines])
        if self._returning + wanted == everything:
            return self.totals.total - promised
        price = Money.total(
            (self._lines_by_product[product_id].unit_price * quantity for product_id, quantity in wanted.items()),
            self.totals.total.currency,
        )
        if self.totals.subtotal.amount == 0:
            return price
        return price + Money(self.totals.tax.amount * price.amount // self.totals.subtotal.amount, price.currency)

    @property
    def _returning(self) -> Counter[str]:
        return _by_product([item for r in self.returns.values() for item in r.items])

    @property
    def _lines_by_product(self) -> dict[str, OrderLine]:
        return {line.product_id: line for line in self.lines}

    def _ensure_standing(self, needed: Standing, wanted: str) -> None:
        if self.standing != needed:
            raise InvalidTransition("order", self.status, wanted)

    def _ensure_payment_held(self, wanted: str) -> None:
        if self.payment_status != "authorised":
            raise InvalidTransition("payment", self.payment_status, wanted)

    def _ensure_shipment(self, shipment_id: str, needed: tuple[ShipmentStatus, ...], wanted: str) -> None:
        if shipment_id not in self.shipments:
            raise NotFound("shipment", shipment_id)
        if self.standing != "placed":
            raise InvalidTransition("order", self.status, wanted)
        if self.shipments[shipment_id].status not in needed:
            raise InvalidTransition("shipment", self.shipments[shipment_id].status, wanted)

    @evolves(OrderSubmitted)
    def _submitted(self, event: OrderSubmitted) -> None:
        self.owner = event.owner
        self.cart_id = UUID(event.cart_id)
        self.lines = event.lines
        self.totals = Totals(event.subtotal, event.shipping_fee, event.tax, event.total)
        self.shipping_address = event.shipping_address
        self.shipping_method = event.shipping_method
        self.shipments = {
            plan.shipment_id: Shipment(plan.shipment_id, plan.warehouse_id, plan.items, plan.estimated_delivery)
            for plan in event.shipments
        }
        self.standing: Standing = "pending_payment"
        self.placed_at: datetime | None = None
        self.payment_reference: str | None = None
        self.payment_captured = False
        self.payment_released = False
        self.returns: dict[str, Return] = {}
        # Units that came back, by shipment and product.
        self.taken_back: dict[str, dict[str, int]] = {}
        self.refunded = Money.zero(event.total.currency)
        self.refund_ids: set[str] = set()
        self.history: list[StatusChange] = []
        self._note_status(event)

    @evolves(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self.standing = "placed"
        self.placed_at = event.timestamp
        self.payment_reference = event.payment_reference
        self.payment_captured = event.payment_captured
        self._note_status(event)

    @evolves(OrderPaymentCaptured)
    def _payment_was_captured(self, event: OrderPaymentCaptured) -> None:
        self.payment_captured = True

    @evolves(OrderPaymentReleased)
    def _payment_was_released(self, event: OrderPaymentReleased) -> None:
        self.payment_released = True

    @evolves(OrderPaymentFailed)
    def _payment_failed(self, event: OrderPaymentFailed) -> None:
        self.standing = "payment_failed"
        self._note_status(event)

    @evolves(ShipmentPacked)
    def _shipment_packed(self, event: ShipmentPacked) -> None:
        for shipment in self.shipments.values():
            if shipment.shipment_id == event.shipment_id:
                self._move(shipment, "packed")
            elif shipment.status == "placed":
                self._move(shipment, "processing")
        self._note_status(event)

    @evolves(ShipmentShipped)
    def _shipment_shipped(self, event: ShipmentShipped) -> None:
        self.shipments[event.shipment_id] = replace(
            self.shipments[event.shipment_id],
            status="shipped",
            carrier=event.carrier,
            tracking_number=event.tracking_number,
        )
        self._note_status(event)

    @evolves(ShipmentDelivered)
    def _shipment_delivered(self, event: ShipmentDelivered) -> None:
        self._move(self.shipments[event.shipment_id], "delivered")
        self._note_status(event)

    @evolves(OrderCancelled)
    def _cancelled(self, event: OrderCancelled) -> None:
        self.standing = "cancelled"
        self._note_status(event)

    @evolves(ReturnRequested)
    def _return_requested(self, event: ReturnRequested) -> None:
        self.returns[event.return_id] = Return(event.return_id, event.items, event.reason, event.refund)

    @evolves(ReturnReceived)
    def _return_received(self, event: ReturnReceived) -> None:
        self.returns[event.return_id] = replace(self.returns[event.return_id], received=True)
        for shipment, item in self._coming_back(self.returns[event.return_id].items):
            taken = self.taken_back.setdefault(shipment.shipment_id, {})
            taken[item.product_id] = taken.get(item.product_id, 0) + item.quantity
        received = _by_product([item for r in self.returns.values() if r.received for item in r.items])
        if received == _by_product([Item(line.product_id, line.quantity) for line in self.lines]):
            self.standing = "returned"
        self._note_status(event)
        self._settle_return(event)

    @evolves(OrderRefunded)
    def _refunded(self, event: OrderRefunded) -> None:
        self.refund_ids.add(event.refund_id)
        self.refunded = self.refunded + event.amount
        self._settle_return(event)

    def _settle_return(self, event: AnyEvent) -> None:
        """All is back and all is paid back: also where nothing of it, or of its last part, cost anything."""
        if self.standing == "returned" and self.refunded == self.totals.total:
            self.standing = "refunded"
        self._note_status(event)

    def _move(self, shipment: Shipment, status: ShipmentStatus) -> None:
        self.shipments[shipment.shipment_id] = replace(shipment, status=status)

    def _note_status(self, event: AnyEvent) -> None:
        if not self.history or self.history[-1].status != self.status:
            self.history.append(StatusChange(self.status, event.timestamp, event.actor))


def _by_product(items: Sequence[Item]) -> Counter[str]:
    units: Counter[str] = Counter()
    for item in items:
        units[item.product_id] += item.quantity
    return units
