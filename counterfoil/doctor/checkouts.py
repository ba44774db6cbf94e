"""Checkouts that have something left to do for too long: payments, refunds, and what nobody would take up again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Final

from commandside.event_store.port import Evolution
from counterfoil.doctor.bounds import CAPTURE_WITHIN, GRACE, REFUND_WITHIN, UNSETTLED_WITHIN, in_words
from counterfoil.doctor.findings import Check, Trouble
from counterfoil.doctor.log import PAGE_SIZE_STREAMS, Log
from domain.aggregates import Checkout
from domain.events.checkout import (
    CaptureRefused,
    CheckoutCompleted,
    CheckoutDeclined,
    CheckoutExpired,
    CheckoutPaymentVoided,
    CheckoutStarted,
    PaymentCaptured,
    PaymentReleased,
    RefundMade,
    RefundRequested,
)

OVERDUE: Final = Check(
    "checkout-overdue",
    f"expiry + {in_words(GRACE)}",
    "It waits for its payment and holds its stock: see that a command API runs and reaches Postgres; its log says why "
    "it is put off.",
)
UNSETTLED: Final = Check(
    "payment-unsettled",
    f"{in_words(UNSETTLED_WITHIN)} after it expired",
    "It has expired, and the payment provider has not said that it let go of the money: see that it is reached.",
)
CAPTURE: Final = Check(
    "capture-overdue",
    in_words(CAPTURE_WITHIN),
    "The order is placed and its money not taken: see that the provider is reached; where it does not hold the money "
    "any more and the order is packed already, the command API's log says so, and the shopper has to be asked.",
)
REFUND: Final = Check(
    "refund-overdue",
    in_words(REFUND_WITHIN),
    "Money is to go back and has not: see that the provider is reached; where it refuses, the command API's log says "
    "why, and the refund is made by hand in the provider's own pages.",
)
FORGOTTEN: Final = Check(
    "checkout-forgotten",
    in_words(GRACE),
    "It is unfinished and not in log.unfinished_checkouts, so nothing would ever take it up: a row (checkout_id, "
    "now()) there has it taken up.",
)
SWEEP: Final = Check(
    "sweep-late",
    f"due + {in_words(GRACE)}",
    "It has been due and nobody took it up: no command API runs its sweep, or it has more to do than it can.",
)
LEFT_OVER: Final = Check(
    "work-left-over",
    in_words(GRACE),
    "log.unfinished_checkouts has it, and it is finished or not there: the row can be deleted.",
)
CHECKS: Final = (OVERDUE, UNSETTLED, CAPTURE, REFUND, FORGOTTEN, SWEEP, LEFT_OVER)

# By topics alone, which are never sealed. What is expired may have been settled in the same event: that its state says.
_UNFINISHED: Final = """
SELECT originator_id FROM log.stored_events WHERE topic = ANY(%(all)s) GROUP BY originator_id
HAVING NOT bool_or(topic = ANY(%(ended)s))
    OR count(*) FILTER (WHERE topic = ANY(%(requested)s)) > count(*) FILTER (WHERE topic = ANY(%(made)s))
    OR bool_or(topic = ANY(%(expired)s)) AND NOT bool_or(topic = ANY(%(settled)s))
    OR bool_or(topic = ANY(%(placed)s)) AND NOT bool_or(topic = ANY(%(moved)s))
"""
_OPEN_WORK: Final = "SELECT checkout_id, due_at FROM log.unfinished_checkouts ORDER BY due_at"
_IN_WORK: Final = "SELECT checkout_id FROM log.unfinished_checkouts"


async def look(log: Log) -> AsyncIterator[Trouble]:
    """Raises psycopg.Error, StoreUnavailable."""
    noted = {row[0] async for page in log.rows(_IN_WORK, {}, PAGE_SIZE_STREAMS) for row in page}
    ended = log.topics(CheckoutCompleted, CheckoutDeclined, CheckoutExpired)
    requested, made = log.topics(RefundRequested), log.topics(RefundMade)
    expired, voided = log.topics(CheckoutExpired), log.topics(CheckoutPaymentVoided)
    moved = log.topics(PaymentCaptured, PaymentReleased, CaptureRefused)
    pages = log.streams(
        _UNFINISHED,
        all=[*log.topics(CheckoutStarted), *ended, *requested, *made, *voided, *moved],
        placed=[CheckoutCompleted.TOPIC],  # an older one was captured before it was written
        moved=moved,
        ended=ended,
        requested=requested,
        made=made,
        expired=expired,
        settled=[*voided, *requested],
    )
    async for page in pages:
        for stream_id, history in page.items():
            checkout: Checkout | None = log.made(stream_id, history)
            if checkout is not None:
                for trouble in troubles_of(checkout, history, log.now, is_noted=stream_id in noted):
                    yield trouble
    async for trouble in _open_work(log):
        yield trouble


def troubles_of(
    checkout: Checkout, history: Sequence[Evolution], now: datetime, *, is_noted: bool
) -> Iterator[Trouble]:
    what = f"order {checkout.order_id}"
    if checkout.awaits_payment and now > checkout.expires_at + GRACE:
        yield Trouble(OVERDUE, what, f"{checkout.status}, of {checkout.owner}", checkout.expires_at)
    expired_at = _when(history, CheckoutExpired)
    if not checkout.payment_settled and expired_at is not None and now > expired_at + UNSETTLED_WITHIN:
        yield Trouble(UNSETTLED, what, f"{checkout.attempts_count} attempts", expired_at)
    placed_at = _when(history, CheckoutCompleted)
    if checkout.capture_due and placed_at is not None and now > placed_at + CAPTURE_WITHIN:
        due = checkout.amount_to_capture
        what_is_due = f"{due.amount} {due.currency} in minor units, {checkout.attempts_count} attempts"
        yield Trouble(CAPTURE, what, what_is_due, placed_at)
    for step in history:
        if not isinstance(step, RefundRequested) or checkout.refunds[step.refund_id].made:
            continue
        if now > step.timestamp + REFUND_WITHIN:
            amount = f"{step.amount.amount} {step.amount.currency} in minor units"
            yield Trouble(REFUND, what, f"refund {step.refund_id}: {amount}, {step.reason}", step.timestamp)
    if checkout.unfinished and not is_noted and now > checkout.modified_on + GRACE:
        yield Trouble(FORGOTTEN, what, f"{checkout.status}, checkout {checkout.id}", checkout.modified_on)


async def _open_work(log: Log) -> AsyncIterator[Trouble]:
    async for rows in log.rows(_OPEN_WORK, {}, PAGE_SIZE_STREAMS):
        histories = await log.load(row[0] for row in rows)
        for checkout_id, due_at in rows:
            history = histories.get(checkout_id)
            if history is None:
                if checkout_id not in log.unreadable:
                    yield Trouble(LEFT_OVER, f"checkout {checkout_id}", "there is no such checkout", due_at)
                continue
            checkout: Checkout | None = log.made(checkout_id, history)
            if checkout is None:
                continue
            if not checkout.unfinished:
                # Read after the row was: it may have come to its end in between.
                if log.now > checkout.modified_on + GRACE:
                    yield Trouble(LEFT_OVER, f"order {checkout.order_id}", checkout.status, checkout.modified_on)
            elif log.now > due_at + GRACE:
                yield Trouble(SWEEP, f"order {checkout.order_id}", f"{checkout.status}, due", due_at)


def _when(history: Sequence[Evolution], event_type: type[CheckoutExpired] | type[CheckoutCompleted]) -> datetime | None:
    return next((step.timestamp for step in history if isinstance(step, event_type)), None)
