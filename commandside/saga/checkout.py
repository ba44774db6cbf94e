"""Checkout on one page: reserve, have the money held, place, take the money; declined or out of time: release.

Two appends, and the provider between them, outside any transaction; the money is taken while the shopper is answered.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import structlog

from commandside.commands import CheckOut
from commandside.event_store import OutcomeUnknown, StoreUnavailable
from commandside.handlers.context import Context, Shop
from commandside.payments.guarded import GuardedProvider
from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    Declined,
    Payment,
    PaymentRefused,
    Pending,
)
from commandside.payments.settle import Settled, StillUnknown, settle
from commandside.payments.webhook import WebhookEvent
from commandside.saga import concluding
from commandside.saga.capturing import Capturing
from commandside.saga.causes import Causes, Clock
from commandside.saga.concluding import Concluded, NoSuchCheckout
from commandside.saga.starting import Terms, Told, start
from commandside.writer import Busy, Committed, Contended, Writer
from domain.values import Cause

HURRIED_SECONDS = 1.0  # what a payment under way is still given once the process is to end
WEBHOOK_PATIENCE = timedelta(seconds=30)  # how long a webhook may be late before the provider is asked
REFUSED = "refused_by_provider"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CheckoutAnswer:
    """`version` is the order's, None where there is no order (yet)."""

    status: int
    body: dict[str, Any]
    order_id: str
    version: int | None
    position: int
    replayed: bool = False


class CheckoutSaga:
    """Takes one cart to a placed order. `answer_within_seconds` bounds what a client waits, not what the saga lives."""

    def __init__(
        self,
        writer: Writer,
        provider: GuardedProvider,
        capturing: Capturing,
        shop: Shop,
        terms: Terms,
        clock: Clock,
        *,
        answer_within_seconds: float = 10.0,
    ) -> None:
        self._writer = writer
        self._provider = provider
        self._capturing = capturing
        self._shop = shop
        self._terms = terms
        self._clock = clock
        self._causes = Causes(clock)
        self._answer_within_seconds = answer_within_seconds
        self._hurried = False
        self._waiting: dict[asyncio.Timeout, None] = {}  # in the order in which they began

    async def check_out(self, command: CheckOut, context: Context) -> CheckoutAnswer:
        """Raises KeyReused, CheckoutInProgress, StaleVersion, UnknownShippingMethod, PaymentsUnavailable, and what the
        writer raises; OutcomeUnknown for all of that once it is begun.
        """
        deadline = time.monotonic() + self._answer_within_seconds
        context = replace(context, cause=replace(context.cause, correlation_id=str(command.order_id)))
        started = await self._writer.execute(
            partial(
                start,
                command=command,
                context=context,
                shop=self._shop,
                terms=self._terms,
                payments_closed_for_seconds=await self._provider.closed_to_new_payments_for_seconds(),
            )
        )
        if isinstance(started.result, Told):
            return _told(started.result, started.position)
        key = str(command.order_id)
        payment = Payment(key, started.result.amount, command.wanted.payment_token, key)
        outcome = await self._authorise_unless_hurried(payment, deadline)
        try:
            concluded = await self.conclude(command.order_id, outcome, replace(context.cause, at=self._clock()))
        except (Busy, Contended, StoreUnavailable) as error:  # it was begun, and the resumption ends it
            raise OutcomeUnknown(f"checkout of order {command.order_id}: {error}") from error
        return CheckoutAnswer(
            concluded.result.status,
            concluded.result.body,
            str(command.order_id),
            concluded.result.version,
            concluded.position,
        )

    def hurry(self) -> None:
        """The process is to end: who waits for the provider is answered within a second, with a 202 where nothing is
        settled by then. The next process takes those up.
        """
        if not self._hurried:
            self._hurried = True
            for waiting in self._waiting:
                waiting.reschedule(asyncio.get_running_loop().time() + HURRIED_SECONDS)

    async def _authorise_unless_hurried(self, payment: Payment, deadline: float) -> Settled:
        waiting = asyncio.timeout(HURRIED_SECONDS if self._hurried else None)
        self._waiting[waiting] = None
        try:
            async with waiting:
                return await self.authorise(payment, deadline)
        except TimeoutError:
            return StillUnknown("the process is to end")
        finally:
            del self._waiting[waiting]

    async def authorise(self, payment: Payment, deadline: float, *, asked_before: bool = False) -> Settled:
        """Asks the provider, outside any transaction; the order's id is the payment's idempotency key."""
        if payment.amount.amount == 0:
            return Captured("nothing-to-pay", payment.amount)
        try:
            return await settle(self._provider, payment, deadline, asked_before=asked_before)
        except PaymentRefused as error:
            # Not the shopper's doing: somebody has to look.
            _log.error("payment refused", order_id=payment.order_id, reason=str(error))
            return Declined(REFUSED)

    async def conclude(self, order_id: UUID, outcome: Settled, cause: Cause) -> Committed[Concluded]:
        """Makes of the checkout what its payment came to; again, by a webhook or the resumption: nothing more."""
        match outcome:
            case Authorised() | Captured():
                return await self._place(order_id, outcome, cause)
            case Declined(reason):
                return await self._decline(order_id, reason, cause)
            case Cancelled():
                return await self._decline(order_id, "cancelled", cause)
            case Pending(reference):
                return await self._answer_pending(order_id, reference, cause)
            case StillUnknown(reason):
                _log.warning("payment not settled in time", order_id=str(order_id), reason=reason)
                return await self._answer_pending(order_id, None, cause)

    async def withdraw(self, order_id: UUID, owner: str | None, reason: str | None, context: Context) -> bool:
        """Ends a checkout whose payment is still awaited, as the shopper wishes. False: it is not awaited.

        Afterwards the order is cancelled, or placed where the provider had taken the money already.

        Raises NotFound, StaleVersion, ProviderError when the provider does not say that it will not take it.
        """
        pending = await self._writer.execute(
            partial(concluding.awaited_payment, order_id=order_id, owner=owner, context=context)
        )
        if pending.result is None:
            return False
        payment = pending.result
        # Of nothing the provider was never asked.
        outcome = await self._provider.cancel(payment) if payment.amount.amount else Cancelled("nothing-to-pay")
        cause = replace(context.cause, at=self._clock())
        if isinstance(outcome, Authorised | Captured):
            await self.conclude(order_id, outcome, cause)
        else:
            await self._writer.execute(partial(concluding.withdraw, order_id=order_id, reason=reason, cause=cause))
        return True

    async def on_webhook(self, event: WebhookEvent) -> None:
        """What the provider tells of its own accord; late, repeated or out of order it does no harm."""
        outcomes: dict[str, Settled] = {
            "payment.authorised": Authorised(event.reference),
            "payment.captured": Captured(event.reference, event.captured or event.amount),
            "payment.declined": Declined(event.reason or "declined"),
            "payment.cancelled": Cancelled(event.reference),
        }
        cause = self._causes.of("provider", event.event_id, event.order_id)
        try:
            order_id = UUID(event.order_id)
            expected = await self._writer.execute(partial(concluding.amount_of, order_id=order_id))
        except (NoSuchCheckout, ValueError):
            _log.warning("webhook of no order of ours", event_id=event.event_id, order_id=event.order_id)
            return
        if (event.key, event.amount) != (event.order_id, expected.result):
            # Signed, and yet not about the payment that was asked for: nothing is placed on it, somebody has to look.
            _log.error("webhook of another payment", event_id=event.event_id, order_id=event.order_id, key=event.key)
            return
        await self.conclude(order_id, outcomes[event.type], cause)

    async def _place(self, order_id: UUID, payment: Authorised | Captured, cause: Cause) -> Committed[Concluded]:
        placed = await self._writer.execute(partial(concluding.place, order_id=order_id, payment=payment, cause=cause))
        if placed.result.to_capture is not None:
            self._capturing.soon(placed.result.to_capture)
        return placed

    async def _decline(self, order_id: UUID, reason: str, cause: Cause) -> Committed[Concluded]:
        return await self._writer.execute(partial(concluding.decline, order_id=order_id, reason=reason, cause=cause))

    async def _answer_pending(self, order_id: UUID, reference: str | None, cause: Cause) -> Committed[Concluded]:
        return await self._writer.execute(
            partial(
                concluding.answer_pending,
                order_id=order_id,
                reference=reference,
                resume_after=cause.at + WEBHOOK_PATIENCE,
                cause=cause,
            )
        )


def _told(told: Told, position: int) -> CheckoutAnswer:
    body = msgspec.json.decode(told.body)
    return CheckoutAnswer(told.status, body, told.order_id, body.get("version"), position, told.replayed)
