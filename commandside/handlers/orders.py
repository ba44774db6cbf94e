from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from commandside.aggregates import Aggregates
from commandside.commands import (
    CancelOrder,
    DeliverShipment,
    PackShipment,
    ReceiveReturn,
    RequestReturn,
    ShipShipment,
)
from commandside.handlers.allowances import allowance_streams, allowances_of
from commandside.handlers.context import Answer, Context
from commandside.representations import order as order_body
from domain.aggregates import Checkout, Order, StockItem
from domain.errors import InvalidTransition, KeyReused, NotFound
from domain.identity import checkout_stream, stock_stream
from domain.values import Cause, Money, StockClaim

# How long the request that asked for a refund has to make it before the resumption takes it up.
REFUND_GRACE = timedelta(seconds=15)


def cancel_order(aggregates: Aggregates, command: CancelOrder, context: Context) -> Answer:
    """Takes the goods back into stock, gives back what the order had of its owner's allowances, and asks for the money
    to be paid back; again: nothing more happens.

    Raises NotFound, StaleVersion, InvalidTransition once something is packed.
    """
    aggregates.load([command.order_id, checkout_stream(command.order_id)])
    order = owned_order(aggregates, command.order_id, command.owner)
    checkout = _checkout(aggregates, command.order_id)
    context.ensure_current(order)
    if order.standing == "pending_payment":  # the saga's to end: nothing is sold yet that could be restocked
        raise InvalidTransition("order", order.status, "cancelled")
    if order.standing != "cancelled":
        undo_sale(aggregates, order, checkout, command.reason, context.cause)
        _request_refund(checkout, f"cancel-{order.order_id}", order.totals.total, "order cancelled", context)
    return _answer(order)


def pack_shipment(aggregates: Aggregates, command: PackShipment, context: Context) -> Answer:
    """Raises NotFound, StaleVersion, InvalidTransition."""
    order = owned_order(aggregates, command.order_id, None)
    context.ensure_current(order)
    order.pack(command.shipment_id, context.cause)
    return _answer(order)


def ship_shipment(aggregates: Aggregates, command: ShipShipment, context: Context) -> Answer:
    """Raises NotFound, StaleVersion, InvalidTransition."""
    order = owned_order(aggregates, command.order_id, None)
    context.ensure_current(order)
    order.ship(command.shipment_id, command.carrier, command.tracking_number, context.cause)
    return _answer(order)


def deliver_shipment(aggregates: Aggregates, command: DeliverShipment, context: Context) -> Answer:
    """Raises NotFound, StaleVersion, InvalidTransition."""
    order = owned_order(aggregates, command.order_id, None)
    context.ensure_current(order)
    order.deliver(command.shipment_id, context.cause)
    return _answer(order)


def request_return(aggregates: Aggregates, command: RequestReturn, context: Context) -> Answer:
    """Asked for again under the same id: nothing more happens.

    Raises NotFound, StaleVersion, NotReturnable; KeyReused for another return under that id.
    """
    order = owned_order(aggregates, command.order_id, command.owner)
    items = [item.value() for item in command.items]
    known = order.returns.get(command.return_id)
    if known is None:
        context.ensure_current(order)
        order.request_return(command.return_id, items, command.reason, context.cause)
    elif not known.asks_for(items, command.reason):
        raise KeyReused
    return Answer(order.version, {"return_id": command.return_id})


def receive_return(aggregates: Aggregates, command: ReceiveReturn, context: Context) -> Answer:
    """The goods are back: into stock with them, and the money is to be paid back. Again: nothing more happens.

    Raises NotFound, StaleVersion.
    """
    aggregates.load([command.order_id, checkout_stream(command.order_id)])
    order = owned_order(aggregates, command.order_id, None)
    checkout = _checkout(aggregates, command.order_id)
    returned = order.find_return(command.return_id)
    if returned.received:
        return _answer(order)
    stock = claimed_stock(aggregates, order.restock_claims(returned.items))
    context.ensure_current(order)
    order.receive_return(command.return_id, context.cause)
    for claim, item in stock:
        item.restock(claim.quantity, command.return_id, context.cause)
    _request_refund(checkout, f"return-{command.return_id}", returned.refund, "goods returned", context)
    return _answer(order)


def owned_order(aggregates: Aggregates, order_id: UUID, owner: str | None) -> Order:
    """Raises NotFound, also when it is somebody else's."""
    order = aggregates.find(Order, order_id)
    if order is None or (owner is not None and order.owner != owner):
        raise NotFound("order", str(order_id))
    return order


def undo_sale(aggregates: Aggregates, order: Order, checkout: Checkout, reason: str | None, cause: Cause) -> None:
    """Cancels a placed order: its goods go back into stock, and what it had of allowances back to their owner.

    Raises InvalidTransition, RuleBroken.
    """
    aggregates.load([*claimed_streams(checkout.claims), *allowance_streams(order.owner, checkout.limited_product_ids)])
    stock = claimed_stock(aggregates, checkout.claims)
    allowances = allowances_of(aggregates, order.owner, checkout.limited_product_ids)
    order.cancel(reason, cause)
    for claim, item in stock:
        item.restock(claim.quantity, order.order_id, cause)
    for allowance in allowances:
        allowance.give_back(order.order_id, cause)


def claimed_streams(claims: tuple[StockClaim, ...]) -> list[UUID]:
    return [stock_stream(claim.sku, claim.warehouse_id) for claim in claims]


def claimed_stock(aggregates: Aggregates, claims: tuple[StockClaim, ...]) -> list[tuple[StockClaim, StockItem]]:
    items = aggregates.find_all(StockItem, claimed_streams(claims))
    return [(claim, items[stock_stream(claim.sku, claim.warehouse_id)]) for claim in claims]


def _checkout(aggregates: Aggregates, order_id: UUID) -> Checkout:
    checkout = aggregates.find(Checkout, checkout_stream(order_id))
    assert checkout is not None, "an order is submitted in one append with its checkout"
    return checkout


def _request_refund(checkout: Checkout, refund_id: str, amount: Money, reason: str, context: Context) -> None:
    checkout.request_refund(refund_id, amount, reason, context.cause.at + REFUND_GRACE, context.cause)


def _answer(order: Order) -> Answer:
    return Answer(order.version, order_body(order))


def current_order(aggregates: Aggregates, order_id: UUID) -> Answer:
    """Raises NotFound."""
    return _answer(owned_order(aggregates, order_id, None))
