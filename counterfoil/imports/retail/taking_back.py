"""A `C` invoice becomes a cancellation or a return."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from commandside.commands import (
    CancelOrder,
    DeliverShipment,
    PackShipment,
    ReceiveReturn,
    RequestReturn,
    ShipShipment,
)
from commandside.commands.fields import ItemField
from commandside.handlers.context import Context
from commandside.handlers.orders import (
    cancel_order,
    deliver_shipment,
    pack_shipment,
    receive_return,
    request_return,
    ship_shipment,
)
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.retail.desk import Desk
from counterfoil.imports.retail.plan import Cancellation, Return
from domain.aggregates import Checkout, EventSourced, Order
from domain.identity import checkout_stream

CARRIER = "Retail Carrier"
REFUND_ATTEMPTS_LIMIT_COUNT = 3


@dataclass(frozen=True, slots=True)
class _Shipment:
    shipment_id: str
    status: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """The order as it is now."""

    cancelled: bool
    shipments: tuple[_Shipment, ...]
    returns: dict[str, bool]
    """By id, whether it was received."""


async def take_back(desk: Desk, step: Cancellation | Return) -> None:
    """Does what has not been done of it. Raises DomainError where the order does not allow it, and ImportStopped."""
    context = desk.context(step.invoice.number, step.at)
    order_id = step.sale.order_id
    standing = (await desk.look([order_id], _standing))[order_id]
    if isinstance(step, Cancellation):
        if not standing.cancelled:
            command = CancelOrder(order_id=order_id, owner=step.sale.owner, reason=f"invoice {step.invoice.number}")
            await desk.write_side.execute(cancel_order, command, context)
    elif not standing.returns.get(step.return_id):
        for shipment in standing.shipments:
            await _deliver(desk, order_id, shipment, step, context)
        if step.return_id not in standing.returns:
            await desk.write_side.execute(request_return, _request(step), context)
        received = ReceiveReturn(order_id=order_id, return_id=step.return_id)
        await desk.write_side.execute(receive_return, received, context)
    await _pay_back(desk, step)


async def _deliver(desk: Desk, order_id: UUID, shipment: _Shipment, step: Return, context: Context) -> None:
    """What comes back must have gone out first."""
    which = shipment.shipment_id
    execute = desk.write_side.execute
    if shipment.status in ("placed", "processing"):
        await execute(pack_shipment, PackShipment(order_id=order_id, shipment_id=which), context)
    if shipment.status in ("placed", "processing", "packed"):
        tracking_number = f"RC-{step.sale.number}-{which}"
        ship = ShipShipment(order_id=order_id, shipment_id=which, carrier=CARRIER, tracking_number=tracking_number)
        await execute(ship_shipment, ship, context)
    if shipment.status != "delivered":
        await execute(deliver_shipment, DeliverShipment(order_id=order_id, shipment_id=which), context)


async def _pay_back(desk: Desk, step: Cancellation | Return) -> None:
    """This step's money and no other's: a later step's goes back at that step's time."""
    for _ in range(REFUND_ATTEMPTS_LIMIT_COUNT):
        if not await _refund_is_due(desk, step):
            return
        await desk.write_side.capturing.move_now(step.sale.order_id)
    if await _refund_is_due(desk, step):
        raise ImportStopped(
            f"The payment provider does not make the refund of invoice {step.invoice.number}: see its log, and run the "
            "same command again: it goes on with this refund."
        )


async def _refund_is_due(desk: Desk, step: Cancellation | Return) -> bool:
    which = f"cancel-{step.sale.order_id}" if isinstance(step, Cancellation) else f"return-{step.return_id}"
    checkout_id = checkout_stream(step.sale.order_id)

    def is_due(found: EventSourced | None) -> bool:
        return isinstance(found, Checkout) and which in found.refunds and not found.refunds[which].made

    return (await desk.look([checkout_id], is_due))[checkout_id]


def _request(step: Return) -> RequestReturn:
    return RequestReturn(
        order_id=step.sale.order_id,
        owner=step.sale.owner,
        return_id=step.return_id,
        items=tuple(ItemField(product_id=item.product_id, quantity=item.quantity) for item in step.items),
        reason=f"invoice {step.invoice.number}",
    )


def _standing(found: EventSourced | None) -> _Standing:
    assert isinstance(found, Order), "a placed sale has its order"
    return _Standing(
        cancelled=found.standing == "cancelled",
        shipments=tuple(_Shipment(each.shipment_id, each.status) for each in found.shipments.values()),
        returns={each.return_id: each.received for each in found.returns.values()},
    )
