"""The first append of a checkout: reserve the stock, submit the order, record the process and the receipt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec

from commandside.aggregates import Aggregates
from commandside.commands import CheckOut
from commandside.handlers.allowances import take, takings
from commandside.handlers.context import Context, Shop
from commandside.handlers.stock_on_hand import available, stock_of
from commandside.problems import problem, status_of
from domain.aggregates import Cart, Checkout, Order, Product, Receipt
from domain.allocation import allocate
from domain.errors import CheckoutInProgress, EmptyCart, KeyExpired, PriceChanged, RuleBroken
from domain.identity import (
    cart_stream,
    checkout_stream,
    product_stream,
    receipt_stream,
    stock_locations_stream,
)
from domain.pricing import ShippingMethod, price
from domain.values import Cause, Item, Money, OrderLine, ShipmentPlan, StockClaim


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things may take. `reservation_ttl` bounds the whole checkout; `resume_grace` is left to the request.

    `receipt_ttl` is how long a repeat of an answered request is told the same.
    """

    reservation_ttl: timedelta
    resume_grace: timedelta
    receipt_ttl: timedelta


class PaymentsUnavailable(Exception):
    """The payment provider is away: nothing was begun, and the same request may be sent again."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the payment provider does not answer")
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Started:
    amount: Money


@dataclass(frozen=True, slots=True)
class Told:
    """This request has its answer: the one told before (`replayed`), or a refusal that is now on record."""

    status: int
    body: str
    order_id: str
    replayed: bool


def start(
    aggregates: Aggregates,
    command: CheckOut,
    context: Context,
    shop: Shop,
    terms: Terms,
    payments_closed_for_seconds: float | None = None,
) -> Started | Told:
    """Raises KeyReused, KeyExpired, CheckoutInProgress, StaleVersion, UnknownShippingMethod: these leave no trace.

    Nor does PaymentsUnavailable: while payments are closed nothing is begun that has to be paid. A refusal by the rules
    of the shop (no stock, another price, nothing in the cart, beyond the customer's limit) is recorded in the receipt.
    """
    fingerprint = command.wanted.fingerprint()
    receipt_id = receipt_stream(command.owner, command.idempotency_key)
    aggregates.load([receipt_id, cart_stream(command.owner), command.order_id, checkout_stream(command.order_id)])
    receipt = aggregates.find(Receipt, receipt_id)
    if receipt is not None and not receipt.is_expired(context.cause.at, terms.receipt_ttl):
        return _answer_again(receipt, fingerprint)
    if receipt is not None:
        _ensure_no_order_stands(aggregates, receipt)
    cart = aggregates.find(Cart, cart_stream(command.owner))
    context.ensure_current(cart)
    method = shop.tariff.shipping_method(command.wanted.shipping_method)
    try:
        started = _reserve(
            aggregates, command, context, shop, terms, cart, method, receipt_id, payments_closed_for_seconds
        )
    except CheckoutInProgress:
        raise
    except RuleBroken as refusal:
        receipt = _begin(aggregates, receipt, command, fingerprint, terms, context.cause)
        body = msgspec.json.encode(problem(refusal)).decode()
        receipt.answer(status_of(refusal), body, context.cause)
        return Told(status_of(refusal), body, str(command.order_id), replayed=False)
    _begin(aggregates, receipt, command, fingerprint, terms, context.cause)
    return started


def _begin(
    aggregates: Aggregates, receipt: Receipt | None, command: CheckOut, fingerprint: str, terms: Terms, cause: Cause
) -> Receipt:
    """The receipt of a request that is the first with its key, or the first again."""
    order_id = str(command.order_id)
    if receipt is not None:
        receipt.reopen(fingerprint, order_id, terms.receipt_ttl, cause)
        return receipt
    receipt = Receipt.open(command.owner, command.idempotency_key, fingerprint, order_id, cause)
    aggregates.add(receipt)
    return receipt


def _answer_again(receipt: Receipt, fingerprint: str) -> Told:
    receipt.ensure_same_request(fingerprint)
    if receipt.status is None or receipt.body is None:
        raise CheckoutInProgress(receipt.order_id)
    return Told(receipt.status, receipt.body, receipt.order_id, replayed=True)


def _ensure_no_order_stands(aggregates: Aggregates, receipt: Receipt) -> None:
    """A key that bought never buys again, whatever became of the order; one that came to nothing can be used anew.

    Raises KeyExpired.
    """
    order = aggregates.find(Order, UUID(receipt.order_id))
    if receipt.status == 201 or (order is not None and order.standing not in ("payment_failed", "cancelled")):
        raise KeyExpired(receipt.order_id)


def _reserve(
    aggregates: Aggregates,
    command: CheckOut,
    context: Context,
    shop: Shop,
    terms: Terms,
    cart: Cart | None,
    method: ShippingMethod,
    receipt_id: UUID,
    payments_closed_for_seconds: float | None,
) -> Started:
    # All guards first: what is refused must not have triggered anything.
    if cart is None or not cart.lines:
        raise EmptyCart
    if cart.checkout_order_id is not None:
        raise CheckoutInProgress(cart.checkout_order_id)
    aggregates.load([stream(sku) for sku in cart.lines for stream in (product_stream, stock_locations_stream)])
    products = aggregates.find_all(Product, [product_stream(sku) for sku in cart.lines])
    wanted = [(products[product_stream(line.product_id)], line.quantity) for line in cart.lines.values()]
    lines = tuple(_order_line(product, quantity) for product, quantity in wanted)
    to_take = takings(aggregates, command.owner, wanted, context.cause)
    goods = [Item(line.product_id, line.quantity) for line in lines if line.kind == "goods"]
    stock = stock_of(aggregates, [item.product_id for item in goods])
    totals = price(lines, method, shop.tariff)
    if command.wanted.expected_total is not None and command.wanted.expected_total.value() != totals.total:
        raise PriceChanged(command.wanted.expected_total.value(), totals.total)
    claims = allocate(goods, available(stock))
    if payments_closed_for_seconds is not None and totals.total.amount != 0:
        raise PaymentsUnavailable(payments_closed_for_seconds)

    cause, order_id = context.cause, command.order_id
    expires_at = cause.at + terms.reservation_ttl
    for claim in claims:
        stock[claim.sku][claim.warehouse_id].reserve(str(order_id), claim.quantity, expires_at, cause)
    cart.begin_checkout(str(order_id), cause)
    aggregates.add(
        Order.submit(
            order_id=order_id,
            owner=command.owner,
            cart_id=cart.id,
            lines=lines,
            totals=totals,
            shipping_address=command.wanted.shipping_address.value(),
            shipping_method=method.name,
            shipments=_shipments(claims, method, context),
            cause=cause,
        )
    )
    checkout = Checkout.start(
        order_id=order_id,
        owner=command.owner,
        items=tuple(Item(line.product_id, line.quantity) for line in lines),
        claims=claims,
        amount=totals.total,
        payment_token=command.wanted.payment_token,
        receipt_id=receipt_id,
        resume_after=min(cause.at + terms.resume_grace, expires_at),
        expires_at=expires_at,
        cause=cause,
    )
    checkout.use_allowances(take(aggregates, to_take, str(order_id), cause), cause)
    aggregates.add(checkout)
    return Started(totals.total)


def _order_line(product: Product, quantity: int) -> OrderLine:
    product.ensure_sold()
    return OrderLine(product.sku, product.details.title, quantity, product.price, product.details.kind)


def _shipments(claims: tuple[StockClaim, ...], method: ShippingMethod, context: Context) -> tuple[ShipmentPlan, ...]:
    items: dict[str, list[Item]] = {}
    for claim in claims:
        items.setdefault(claim.warehouse_id, []).append(Item(claim.sku, claim.quantity))
    estimated_delivery = context.cause.at + timedelta(days=method.delivery_days)
    return tuple(
        ShipmentPlan(f"s{number}", warehouse_id, tuple(packed), estimated_delivery)
        for number, (warehouse_id, packed) in enumerate(items.items(), start=1)
    )
