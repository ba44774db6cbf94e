"""What a checkout held and should have let go: stock, carts, and receipts that were never answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from counterfoil.doctor.bounds import GRACE, in_words
from counterfoil.doctor.findings import Check, Trouble
from counterfoil.doctor.log import Log
from domain.aggregates import Cart, Checkout, Receipt, StockItem
from domain.events.cart import CartCheckedOut, CartCheckoutAbandoned, CartCheckoutBegun
from domain.events.receipt import ReceiptAnswered, ReceiptOpened
from domain.events.stock import StockCommitted, StockReleased, StockReservationExpired, StockReserved

RESERVATION_OVERDUE: Final = Check(
    "reservation-overdue",
    f"expiry + {in_words(GRACE)}",
    "Units are held that nobody can buy: its checkout's sweep ends it; where there is none, see reservation-orphaned.",
)
RESERVATION_ORPHANED: Final = Check(
    "reservation-orphaned",
    f"{in_words(GRACE)} after its checkout ended",
    "Units are held for a checkout that has ended or was never there, which should not be possible: look at the audit "
    "of the stock and of the order, and report it. Nothing gives them back by itself.",
)
CART_HELD: Final = Check(
    "cart-held",
    f"{in_words(GRACE)} after its checkout ended",
    "A cart is in checkout by an order that has ended, which should not be possible: its shopper cannot check out. "
    "Look at the audit of the cart and of the order, and report it.",
)
CHECKS: Final = (RESERVATION_OVERDUE, RESERVATION_ORPHANED, CART_HELD)

# A stream of stock may be long: few at a time.
PAGE_SIZE_STOCK_STREAMS: Final = 20

# By topics alone, which are never sealed: more began than ended.
_MORE_BEGUN: Final = """
SELECT originator_id FROM log.stored_events WHERE topic = ANY(%(begun)s) OR topic = ANY(%(ended)s)
GROUP BY originator_id
HAVING count(*) FILTER (WHERE topic = ANY(%(begun)s)) > count(*) FILTER (WHERE topic = ANY(%(ended)s))
"""
_UNANSWERED: Final = """
SELECT originator_id FROM log.stored_events WHERE topic = ANY(%(opened)s) OR topic = ANY(%(answered)s)
GROUP BY originator_id HAVING NOT bool_or(topic = ANY(%(answered)s))
"""


def receipt_check(reservation_ttl: timedelta) -> Check:
    return Check(
        "receipt-unanswered",
        f"reservation's time ({in_words(reservation_ttl)}) + {in_words(GRACE)}",
        "A checkout was begun under this key and never answered: its checkout is overdue too, and ends with it.",
    )


async def look_at_stock(log: Log) -> AsyncIterator[Trouble]:
    """Raises psycopg.Error, StoreUnavailable."""
    begun, ended = log.topics(StockReserved), log.topics(StockCommitted, StockReleased, StockReservationExpired)
    async for page in log.streams(_MORE_BEGUN, PAGE_SIZE_STOCK_STREAMS, begun=begun, ended=ended):
        items: list[StockItem] = [made for id_, steps in page.items() if (made := log.made(id_, steps)) is not None]
        checkouts = await log.checkouts(order_id for item in items for order_id in item.reservations)
        for item in items:
            for order_id, reservation in item.reservations.items():
                what = f"{item.sku}@{item.warehouse_id}, order {order_id}"
                units = f"{reservation.quantity} units"
                if log.now > reservation.expires_at + GRACE:
                    yield Trouble(RESERVATION_OVERDUE, what, units, reservation.expires_at)
                checkout = checkouts.get(order_id)
                if order_id in checkouts and has_ended(checkout, log):
                    yield Trouble(RESERVATION_ORPHANED, what, f"{units}, {_ending(checkout)}", _since(checkout))


async def look_at_carts(log: Log) -> AsyncIterator[Trouble]:
    """Raises psycopg.Error, StoreUnavailable."""
    begun, ended = log.topics(CartCheckoutBegun), log.topics(CartCheckedOut, CartCheckoutAbandoned)
    async for page in log.streams(_MORE_BEGUN, begun=begun, ended=ended):
        carts: list[Cart] = [made for id_, steps in page.items() if (made := log.made(id_, steps)) is not None]
        held = {str(cart.checkout_order_id): cart for cart in carts if cart.checkout_order_id is not None}
        for order_id, checkout in (await log.checkouts(held)).items():
            if has_ended(checkout, log):
                what = f"cart {held[order_id].id}, order {order_id}"
                yield Trouble(CART_HELD, what, f"of {held[order_id].owner}, {_ending(checkout)}", _since(checkout))


async def look_at_receipts(log: Log, check: Check, reservation_ttl: timedelta) -> AsyncIterator[Trouble]:
    """Raises psycopg.Error, StoreUnavailable."""
    pages = log.streams(_UNANSWERED, opened=log.topics(ReceiptOpened), answered=log.topics(ReceiptAnswered))
    async for page in pages:
        for stream_id, history in page.items():
            receipt: Receipt | None = log.made(stream_id, history)
            if receipt is None or receipt.answered:
                continue
            if log.now > receipt.created_on + reservation_ttl + GRACE:
                yield Trouble(check, f"order {receipt.order_id}", f"of {receipt.owner}", receipt.created_on)


def has_ended(checkout: Checkout | None, log: Log) -> bool:
    """Long enough ago that what it held was not merely read before it ended."""
    if checkout is None:
        return True
    return not checkout.awaits_payment and log.now > checkout.modified_on + GRACE


def _ending(checkout: Checkout | None) -> str:
    return "there is no such checkout" if checkout is None else f"its checkout is {checkout.status}"


def _since(checkout: Checkout | None) -> datetime | None:
    return None if checkout is None else checkout.modified_on
