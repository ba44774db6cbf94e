"""The second append of a checkout, what its payment came to, and those about its money. Decided again, each changes
nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from commandside.aggregates import Aggregates
from commandside.handlers.allowances import allowance_streams, allowances_of
from commandside.handlers.context import Context
from commandside.handlers.orders import owned_order, undo_sale
from commandside.payments.payment import Authorised, Captured, Payment
from commandside.problems import PaymentDeclined, problem, status_of
from commandside.representations import order as order_body
from commandside.representations import pending_order
from commandside.saga.unfinished import Unfinished, look, payment_of
from domain.aggregates import Allowance, Cart, Checkout, Order, Receipt, StockItem
from domain.errors import KeyExpired
from domain.identity import cart_stream, checkout_stream, stock_stream
from domain.values import Cause, Money

WITHDRAWN = "cancelled_by_shopper"
NOT_CAPTURED = "the payment could not be taken"
# How long the process that placed an order has to take its money before the resumption does.
CAPTURE_GRACE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Concluded:
    """What the request that started the checkout is to be told. `to_capture`: the order has just been placed."""

    status: int
    body: dict[str, Any]
    version: int
    to_capture: Unfinished | None = None


def version_told(body: dict[str, Any]) -> int:
    """Of the order, in an answer that is on record. One that says no version was given before there was a second."""
    version: int = body.get("version", Order.INITIAL_VERSION)
    return version


class NoSuchCheckout(Exception):
    """There is no checkout of this order."""


@dataclass(frozen=True, slots=True)
class _Parts:
    checkout: Checkout
    order: Order
    cart: Cart
    receipt: Receipt
    stock: tuple[StockItem, ...]
    allowances: tuple[Allowance, ...]

    def give_back(self, cause: Cause) -> None:
        for allowance in self.allowances:
            allowance.give_back(self.order.order_id, cause)


def place(aggregates: Aggregates, order_id: UUID, payment: Authorised | Captured, cause: Cause) -> Concluded:
    """The money is held: the order stands, the stock is sold, the cart is done with; what remains is to take it.

    Of a checkout that has been given up: what is held is let go by the resumption; what was taken, though nobody here
    asked for that, goes back.
    """
    parts = _parts(aggregates, order_id)
    taken = payment if isinstance(payment, Captured) else None
    if parts.checkout.awaits_payment:
        for item in parts.stock:
            item.commit(str(order_id), cause)
        # Where less than all was taken (by hand, at the provider), asking for the capture tells how much it was.
        in_one = taken is not None and taken.amount == parts.checkout.amount
        parts.order.place(payment.reference, in_one, cause)
        parts.cart.check_out(str(order_id), parts.checkout.items, cause)
        parts.checkout.complete(payment.reference, None if in_one else cause.at + CAPTURE_GRACE, cause)
        concluded = _answer(parts, 201, order_body(parts.order), cause)
        return replace(concluded, to_capture=look(aggregates, parts.checkout.id))
    if taken and parts.checkout.status in ("expired", "declined"):
        parts.checkout.request_refund(
            f"late-{order_id}",
            min(taken.amount, parts.checkout.amount),
            "paid after the checkout was given up",
            cause.at,
            cause,
        )
    elif taken:
        capture(aggregates, order_id, taken, cause)
    return _told(parts)


def decline(aggregates: Aggregates, order_id: UUID, reason: str, cause: Cause) -> Concluded:
    """Not paid: nothing is held any longer, and the cart is as it was."""
    parts = _parts(aggregates, order_id)
    if parts.checkout.awaits_payment:
        for item in parts.stock:
            item.release(str(order_id), cause)
        parts.give_back(cause)
        parts.checkout.decline(reason, cause)
        return _give_up(parts, reason, cause)
    if parts.checkout.status == "expired":
        parts.checkout.payment_voided(cause)
    return _told(parts)


def withdraw(aggregates: Aggregates, order_id: UUID, reason: str | None, cause: Cause) -> Concluded:
    """Not wanted any more, and the provider holds nothing: all is given back, the order cancelled."""
    parts = _parts(aggregates, order_id)
    if parts.checkout.awaits_payment:
        for item in parts.stock:
            item.release(str(order_id), cause)
        parts.give_back(cause)
        parts.checkout.decline(WITHDRAWN, cause)
        parts.order.cancel(reason, cause)
        parts.cart.abandon_checkout(parts.order.order_id, cause)
        return _refuse(parts, WITHDRAWN, cause)
    return _told(parts)


def expire(
    aggregates: Aggregates, order_id: UUID, payment_settled: bool, resume_after: datetime, cause: Cause
) -> Concluded:
    """Out of time. Whether the provider holds the money may still be unknown: then that is what is left to find out."""
    parts = _parts(aggregates, order_id)
    if parts.checkout.awaits_payment:
        for item in parts.stock:
            item.expire(str(order_id), cause)
        parts.give_back(cause)
        parts.checkout.expire(payment_settled, resume_after, cause)
        return _give_up(parts, "timed_out", cause)
    if payment_settled:
        parts.checkout.payment_voided(cause)
    return _told(parts)


def answer_pending(
    aggregates: Aggregates, order_id: UUID, reference: str | None, resume_after: datetime, cause: Cause
) -> Concluded:
    """The outcome is not known yet and the client is told so. `reference`: the provider has it and will tell."""
    parts = _parts(aggregates, order_id)
    if parts.checkout.awaits_payment:
        if reference is not None:
            parts.checkout.defer_payment(reference, resume_after, cause)
        return _answer(parts, 202, pending_order(parts.order), cause)
    return _told(parts)


def awaited_payment(aggregates: Aggregates, order_id: UUID, owner: str | None, context: Context) -> Payment | None:
    """None: this order's payment is not awaited (any more).

    Raises NotFound, also when the order is not this owner's; StaleVersion.
    """
    aggregates.load([order_id, checkout_stream(order_id)])
    order = owned_order(aggregates, order_id, owner)
    context.ensure_current(order)
    return payment_of(_checkout(aggregates, order_id)) if order.standing == "pending_payment" else None


def amount_of(aggregates: Aggregates, order_id: UUID) -> Money:
    """What the provider was asked for. Raises NoSuchCheckout."""
    return _checkout(aggregates, order_id).amount


def postpone(aggregates: Aggregates, order_id: UUID, reason: str, resume_after: datetime, cause: Cause) -> None:
    _checkout(aggregates, order_id).postpone(reason, resume_after, cause)


def capture(aggregates: Aggregates, order_id: UUID, payment: Captured, cause: Cause) -> Unfinished | None:
    """The provider took the money of a placed order; of what was to go back already it took so much less.

    Returns what is left to do.
    """
    checkout, order = _checkout(aggregates, order_id), _order(aggregates, order_id)
    if checkout.capture_due:
        order.capture_payment(payment.amount, payment.reference, cause)
        refund_ids = checkout.capture(payment.reference, payment.amount, cause)
        _note_refunds(checkout, order, refund_ids, payment.reference, cause)
    return look(aggregates, checkout.id)


def release_payment(aggregates: Aggregates, order_id: UUID, reference: str, cause: Cause) -> Unfinished | None:
    """All was to go back before it was taken, and the provider has let go of it. Returns what is left to do."""
    checkout, order = _checkout(aggregates, order_id), _order(aggregates, order_id)
    if checkout.capture_due:
        order.release_payment(reference, cause)
        refund_ids = checkout.release_payment(reference, cause)
        _note_refunds(checkout, order, refund_ids, reference, cause)
    return look(aggregates, checkout.id)


def refuse_capture(aggregates: Aggregates, order_id: UUID, reason: str, cause: Cause) -> Unfinished | None:
    """The provider does not hold the money any more: the order is cancelled, its goods go back into stock.

    Where it is packed already, or on its way, the capture stays due: somebody has to look. Returns what is left to do.
    """
    checkout, order = _checkout(aggregates, order_id), _order(aggregates, order_id)
    if checkout.capture_due and (order.standing == "cancelled" or order.can_be_cancelled):
        if order.standing != "cancelled":
            undo_sale(aggregates, order, checkout, NOT_CAPTURED, cause)
        order.release_payment(checkout.payment_reference or "", cause)
        checkout.refuse_capture(reason, cause)
    return look(aggregates, checkout.id)


def refund_made(aggregates: Aggregates, order_id: UUID, refund_id: str, reference: str, cause: Cause) -> None:
    checkout, order = _checkout(aggregates, order_id), _order(aggregates, order_id)
    checkout.refund_made(refund_id, reference, cause)
    _note_refunds(checkout, order, (refund_id,), reference, cause)


def _note_refunds(checkout: Checkout, order: Order, refund_ids: tuple[str, ...], reference: str, cause: Cause) -> None:
    for refund_id in refund_ids:
        order.refund(refund_id, checkout.refunds[refund_id].amount, reference, cause)


def _give_up(parts: _Parts, reason: str, cause: Cause) -> Concluded:
    parts.order.fail_payment(reason, cause)
    parts.cart.abandon_checkout(parts.order.order_id, cause)
    return _refuse(parts, reason, cause)


def _refuse(parts: _Parts, reason: str, cause: Cause) -> Concluded:
    refusal = PaymentDeclined(reason)
    return _answer(parts, status_of(refusal), problem(refusal), cause)


def _answer(parts: _Parts, status: int, body: dict[str, Any], cause: Cause) -> Concluded:
    """The first answer stands: a repeat is told the same, so whoever is told it late is told nothing newer."""
    if parts.receipt.answered:
        return _told(parts)
    parts.receipt.answer(status, msgspec.json.encode(body).decode(), cause)
    return Concluded(status, body, parts.order.version)


def _told(parts: _Parts) -> Concluded:
    receipt = parts.receipt
    if receipt.order_id != parts.order.order_id:  # its answer has expired, and the key gone on to another order
        refusal = KeyExpired(parts.order.order_id)
        return Concluded(status_of(refusal), problem(refusal), parts.order.version)
    assert receipt.status is not None and receipt.body is not None, "what settles a checkout answers its receipt"
    body = msgspec.json.decode(receipt.body)
    return Concluded(receipt.status, body, version_told(body))


def _parts(aggregates: Aggregates, order_id: UUID) -> _Parts:
    checkout = _checkout(aggregates, order_id)
    wanted = [stock_stream(claim.sku, claim.warehouse_id) for claim in checkout.claims]
    limited = allowance_streams(checkout.owner, checkout.limited_product_ids)
    aggregates.load([order_id, cart_stream(checkout.owner), checkout.receipt_id, *wanted, *limited])
    order = aggregates.find(Order, order_id)
    cart = aggregates.find(Cart, cart_stream(checkout.owner))
    receipt = aggregates.find(Receipt, checkout.receipt_id)
    found = aggregates.find_all(StockItem, wanted)
    assert order is not None and cart is not None and receipt is not None, "the first append has all of these"
    stock = tuple(found[stream_id] for stream_id in wanted)
    allowances = allowances_of(aggregates, checkout.owner, checkout.limited_product_ids)
    return _Parts(checkout, order, cart, receipt, stock, allowances)


def _order(aggregates: Aggregates, order_id: UUID) -> Order:
    order = aggregates.find(Order, order_id)
    assert order is not None, "a checkout is started in one append with its order"
    return order


def _checkout(aggregates: Aggregates, order_id: UUID) -> Checkout:
    checkout = aggregates.find(Checkout, checkout_stream(order_id))
    if checkout is None:
        raise NoSuchCheckout(f"there is no checkout of order {order_id}")
    return checkout
