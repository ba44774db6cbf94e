"""An invoice becomes a cart and a checkout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from commandside.commands import (
    AddToCart,
    ChangeProduct,
    ChangeQuantity,
    CheckOut,
    CheckoutFields,
    ClearCart,
    ProductChanges,
    RemoveFromCart,
)
from commandside.commands.fields import AddressField, MoneyField
from commandside.handlers.cart import add_to_cart, change_quantity, clear_cart, remove_from_cart
from commandside.handlers.catalogue import change_product
from commandside.handlers.context import Context
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.retail.desk import Desk
from counterfoil.imports.retail.invoices import CURRENCY, Sale
from counterfoil.imports.retail.outcomes import Begun, Outcome, Refused, Untouched, outcome_of
from domain.aggregates import Cart, EventSourced, Product
from domain.errors import DomainError
from domain.identity import cart_stream, checkout_stream, product_stream
from domain.values import Money

PAYMENT_TOKEN: Final = "tok_ok"
PAYMENT_ATTEMPTS_LIMIT_COUNT: Final = 3
_NOT_IN_THE_FILE: Final = "not recorded"


async def sell(desk: Desk, sale: Sale, before: Outcome) -> Outcome:
    """Takes the sale from where it stands to its end. Raises ImportStopped when the payment provider stays away."""
    context = desk.context(sale.number, sale.at)
    outcome = before
    if isinstance(outcome, Untouched):
        try:
            await _prepare(desk, sale, context)
            await desk.write_side.saga.check_out(_check_out(sale), context)
        except DomainError as refusal:
            return await _refuse(desk, sale, context, refusal.detail)
        await desk.write_side.capturing.drain()  # within the time of this invoice
        outcome = await outcome_of(desk, sale)
        if isinstance(outcome, Refused):
            return await _refuse(desk, sale, context, outcome.reason)
    for _ in range(PAYMENT_ATTEMPTS_LIMIT_COUNT):
        if not isinstance(outcome, Begun):
            return outcome
        await desk.write_side.resumption.resume(checkout_stream(sale.order_id))
        outcome = await outcome_of(desk, sale)
    if isinstance(outcome, Begun):
        raise ImportStopped(
            f"The payment provider gives no answer about invoice {sale.number}. When it does, run the same command "
            "again: it goes on with this invoice."
        )
    return outcome


async def _refuse(desk: Desk, sale: Sale, context: Context, reason: str) -> Refused:
    await desk.write_side.execute_in_shop(clear_cart, ClearCart(owner=sale.owner), context)
    return Refused(reason)


async def _prepare(desk: Desk, sale: Sale, context: Context) -> None:
    """The prices are the invoice's from now on, and the cart holds what the invoice has, no more and no less.

    Whatever an interruption, or somebody else, left in it is changed or taken out.
    """
    cart_id = cart_stream(sale.owner)
    wanted = {line.sku: line for line in sale.lines}
    seen = await desk.look([cart_id, *(product_stream(sku) for sku in wanted)], _price_or_quantities)
    held = seen[cart_id] or {}
    execute, execute_in_shop = desk.write_side.execute, desk.write_side.execute_in_shop
    await _together(
        execute(change_product, ChangeProduct(sku=sku, changes=ProductChanges(price=_money(line.price_minor))), context)
        for sku, line in wanted.items()
        if seen[product_stream(sku)] != Money(line.price_minor, CURRENCY)
    )
    await _together(
        execute_in_shop(remove_from_cart, RemoveFromCart(owner=sale.owner, product_id=sku), context)
        for sku in held.keys() - wanted.keys()
    )
    await _together(
        execute_in_shop(
            change_quantity, ChangeQuantity(owner=sale.owner, product_id=sku, quantity=line.quantity), context
        )
        if sku in held
        else execute_in_shop(add_to_cart, AddToCart(owner=sale.owner, product_id=sku, quantity=line.quantity), context)
        for sku, line in wanted.items()
        if held.get(sku) != line.quantity
    )


async def _together(commands: Any) -> None:
    """All of them in flight at once, so that they share a batch. Raises the first refusal once all are answered."""
    running: list[Awaitable[Any]] = list(commands)
    for answer in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


def _check_out(sale: Sale) -> CheckOut:
    address = AddressField(
        name=f"Customer {sale.customer}",
        line1=_NOT_IN_THE_FILE,
        city=_NOT_IN_THE_FILE,
        postcode="-",
        country=sale.country,
    )
    wanted = CheckoutFields(
        shipping_address=address, payment_token=PAYMENT_TOKEN, expected_total=_money(sale.total.amount)
    )
    return CheckOut(owner=sale.owner, idempotency_key=sale.idempotency_key, order_id=sale.order_id, wanted=wanted)


def _price_or_quantities(found: EventSourced | None) -> Any:
    """Of a product its price, of a cart its quantities by product."""
    match found:
        case Product():
            return found.price
        case Cart():
            return {line.product_id: line.quantity for line in found.lines.values()}
        case _:
            return None


def _money(amount: int) -> MoneyField:
    return MoneyField(amount=amount, currency=CURRENCY)
