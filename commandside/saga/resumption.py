"""Every checkout ends: what a crash, a silent provider or a lost webhook left unfinished is taken up again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from commandside.event_store import EventStore, StoreUnavailable
from commandside.payments.guarded import GuardedProvider
from commandside.payments.port import (
    AuthorisationOutcome,
    Authorised,
    Cancelled,
    Captured,
    Declined,
    Payment,
    PaymentOutcome,
    ProviderError,
)
from commandside.payments.settle import StillUnknown
from commandside.saga import concluding
from commandside.saga.capturing import Capturing, PutOff
from commandside.saga.causes import Causes, Clock
from commandside.saga.checkout import CheckoutSaga
from commandside.saga.unfinished import Unfinished, look
from commandside.writer import Busy, Contended, Writer

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
# Behind a full batch there are more, which are due as well: thousands, after an outage.
FULL_BATCH_PAUSE_SECONDS = 0.1
_Question = Callable[[Payment], Awaitable[PaymentOutcome | None]]
_log = structlog.get_logger(__name__)


class Resumption:
    """Looks every few seconds for checkouts that are due, and takes each a step on."""

    def __init__(
        self,
        store: EventStore,
        writer: Writer,
        saga: CheckoutSaga,
        capturing: Capturing,
        provider: GuardedProvider,
        clock: Clock,
        *,
        pause_seconds: float = 2.0,
        batch_limit_checkouts: int = 100,
        concurrency_limit_checkouts: int = 32,
        settle_within_seconds: float = 3.0,
    ) -> None:
        self._store = store
        self._writer = writer
        self._saga = saga
        self._capturing = capturing
        self._provider = provider
        self._clock = clock
        self._causes = Causes(clock)
        self._pause_seconds = pause_seconds
        self._batch_limit_checkouts = batch_limit_checkouts
        self._slots = asyncio.Semaphore(concurrency_limit_checkouts)
        self._settle_within_seconds = settle_within_seconds
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="resumption")

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop

    @property
    def alive(self) -> bool:
        return self._loop is not None and not self._loop.done()

    async def sweep(self) -> int:
        """Takes every checkout that is due one step on; returns how many there were. Raises StoreUnavailable."""
        due = await self._store.due_work(self._clock(), self._batch_limit_checkouts)
        if due:
            # Whether a provider is back is asked once, and not by the first of those that are due: of all the others
            # it would not be asked meanwhile.
            await self._provider.closed_to_new_payments_for_seconds()
        await asyncio.gather(*(self._resume_one(checkout_id) for checkout_id in due))
        return len(due)

    async def resume(self, checkout_id: UUID) -> None:
        unfinished = (await self._writer.execute(partial(look, checkout_id=checkout_id))).result
        if unfinished is None:
            return
        if unfinished.awaits_payment:
            await self._await_payment(unfinished)
        elif not unfinished.payment_settled:
            await self._settle_expired(unfinished)
        else:
            await self._move_money(unfinished)

    async def _move_money(self, unfinished: Unfinished) -> None:
        try:
            await self._capturing.move_money(unfinished.order_id)
        except PutOff as error:
            await self._postpone(unfinished, str(error))

    async def _run(self) -> None:
        while True:
            due_count = 0
            try:
                due_count = await self.sweep()
            except (StoreUnavailable, Busy) as error:
                _log.warning("sweep put off", error=str(error))
            except Exception:  # the sweep is what makes every checkout end: it goes on, and the fault is seen
                _log.exception("sweep failed")
            more_are_due = due_count >= self._batch_limit_checkouts
            await asyncio.sleep(FULL_BATCH_PAUSE_SECONDS if more_are_due else self._pause_seconds)

    async def _resume_one(self, checkout_id: UUID) -> None:
        async with self._slots:
            try:
                await self.resume(checkout_id)
            except (StoreUnavailable, Busy, Contended) as error:
                _log.warning("resumption put off", checkout_id=str(checkout_id), error=str(error))
            except Exception as error:
                # One that cannot be resumed must not keep the others from it: it goes to the end of the line.
                _log.exception("resumption failed", checkout_id=str(checkout_id))
                await self._put_aside(checkout_id, error)

    async def _put_aside(self, checkout_id: UUID, error: Exception) -> None:
        try:
            unfinished = (await self._writer.execute(partial(look, checkout_id=checkout_id))).result
            if unfinished is not None:
                await self._postpone(unfinished, f"{type(error).__name__}: {error}")
        except Exception:  # then it stays due, and is tried again with the next sweep
            _log.exception("resumption not put off", checkout_id=str(checkout_id))

    async def _await_payment(self, checkout: Unfinished) -> None:
        if self._clock() >= checkout.expires_at:
            await self._run_out(checkout)
            return
        closed = await self._provider.closed_to_new_payments_for_seconds() is not None
        # Behind those that the provider is not asked about now, others are due.
        deadline = time.monotonic() + (0 if closed else self._settle_within_seconds)
        outcome = await self._saga.authorise(checkout.payment, deadline, asked_before=True)
        if isinstance(outcome, AuthorisationOutcome):
            await self._saga.conclude(checkout.order_id, outcome, self._causes.of_checkout(checkout.order_id))
        else:
            reason = outcome.reason if isinstance(outcome, StillUnknown) else "waiting for the provider's word"
            await self._postpone(checkout, reason, no_later_than=checkout.expires_at)

    async def _run_out(self, checkout: Unfinished) -> None:
        """The reservation's time is up: the money is held, and the order placed; or it must not be held any more. What
        the provider cannot say now, it says later: the stock is not held for that.
        """
        outcome = await self._ask(checkout.payment, self._provider.find)
        if not isinstance(outcome, Authorised | Captured):
            outcome = await self._ask(checkout.payment, self._provider.cancel)
        if isinstance(outcome, Authorised | Captured | Declined):
            await self._saga.conclude(checkout.order_id, outcome, self._causes.of_checkout(checkout.order_id))
            return
        await self._writer.execute(
            partial(
                concluding.expire,
                order_id=checkout.order_id,
                payment_settled=isinstance(outcome, Cancelled),
                resume_after=self._clock() + FIRST_PAUSE,
                cause=self._causes.of_checkout(checkout.order_id),
            )
        )

    async def _settle_expired(self, checkout: Unfinished) -> None:
        outcome = await self._ask(checkout.payment, self._provider.cancel)
        if isinstance(outcome, Captured | Declined | Cancelled):
            await self._saga.conclude(checkout.order_id, outcome, self._causes.of_checkout(checkout.order_id))
        else:
            await self._postpone(checkout, "the provider does not say")

    async def _ask(self, payment: Payment, question: _Question) -> PaymentOutcome | None:
        if payment.amount.amount == 0:
            return Cancelled("nothing-to-pay")
        try:
            return await question(payment)
        except ProviderError as error:
            _log.warning("payment not settled", order_id=payment.order_id, error=str(error))
        except Exception:  # a fault of the adapter's is no answer either
            _log.exception("payment not settled", order_id=payment.order_id)
        return None

    async def _postpone(self, checkout: Unfinished, reason: str, no_later_than: datetime | None = None) -> None:
        # 5 s, 10 s, 20 s ... 5 minutes: doubled no more often than it takes to get there.
        resume_after = self._clock() + min(FIRST_PAUSE * 2 ** min(checkout.attempts_count, 8), LONGEST_PAUSE)
        if no_later_than is not None:
            resume_after = min(resume_after, no_later_than)
        await self._writer.execute(
            partial(
                concluding.postpone,
                order_id=checkout.order_id,
                reason=reason,
                resume_after=resume_after,
                cause=self._causes.of_checkout(checkout.order_id),
            )
        )
