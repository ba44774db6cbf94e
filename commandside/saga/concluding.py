"""The second append of a checkout: what its payment came to. Decided again, each changes nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from commandside.aggregates import Aggregates
from commandside.handlers.allowances import allowance_streams, allowances_of
from commandside.handlers.context import Context
from commandside.handlers.orders import owned_order
from commandside.problems import PaymentDeclined, problem, status_of
from commandside.representations import order as order_body
from commandside.representations import pending_order
from domain.aggregates import Allowance, Cart, Checkout, Order, Receipt, StockItem
from domain.errors import KeyExpired
from domain.identity import cart_stream, checkout_stream, stock_stream
from domain.values import Cause, Money

WITHDRAWN = "cancelled_by_shopper"


@dataclass(frozen=True, slots=True)
class Concluded:
    """What the request that started the checkout is to be told."""

    status: int
    body: dict[str, Any]
    version: int


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


def place(aggregates: Aggregates, order_id: UUID, reference: str, cause: Cause) -> Concluded:
    """Paid: the order stands, the stock is sold, the cart is done with.

    Paid too late, when the checkout has been given up: the money goes back.
    """
    parts = _parts(aggregates, order_id)
    if parts.checkout.awaits_payment:
        for item in parts.stock:
            item.commit(str(order_id), cause)
        parts.order.place(reference, cause)
        parts.cart.check_out(str(order_id), parts.checkout.items, cause)
        parts.checkout.complete(reference, cause)
        return _answer(parts, 201, order_body(parts.order), cause)
    if parts.checkout.status in ("expired", "declined"):
        parts.checkout.request_refund(
            f"late-{order_id}", parts.checkout.amount, "paid after the checkout was given up", cause.at, cause
        )
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
    """Not wanted any more, and the provider will not charge: all is given back, the order cancelled."""
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
    """Out of time. Whether the provider charged may still be unknown: then that is what is left to find out."""
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


def awaits_payment(aggregates: Aggregates, order_id: UUID, owner: str | None, context: Context) -> bool:
    """Raises NotFound, also when the order is not this owner's; StaleVersion."""
    order = owned_order(aggregates, order_id, owner)
    context.ensure_current(order)
    return order.standing == "pending_payment"


def payment_of(aggregates: Aggregates, order_id: UUID) -> Money:
    """What the provider was asked to charge. Raises NoSuchCheckout."""
    return _checkout(aggregates, order_id).amount


def postpone(aggregates: Aggregates, order_id: UUID, reason: str, resume_after: datetime, cause: Cause) -> None:
    _checkout(aggregates, order_id).postpone(reason, resume_after, cause)


def refund_made(aggregates: Aggregates, order_id: UUID, refund_id: str, reference: str, cause: Cause) -> None:
    checkout = _checkout(aggregates, order_id)
    order = aggregates.find(Order, order_id)
    assert order is not None, "a checkout is started in one append with its order"
    checkout.refund_made(refund_id, reference, cause)
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
    return Concluded(receipt.status, body, body.get("version", parts.order.version))


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


def _checkout(aggregates: Aggregates, order_id: UUID) -> Checkout:
    checkout = aggregates.find(Checkout, checkout_stream(order_id))
    if checkout is None:
        raise NoSuchCheckout(f"there is no checkout of order {order_id}")
    return checkout
