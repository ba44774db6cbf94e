"""The money of an order that stands: taken once, all but what is to go back already, and given back as asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog

from commandside.event_store import StoreUnavailable
from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    CaptureRefused,
    Declined,
    PaymentProvider,
    ProviderError,
    Refunded,
)
from commandside.saga import concluding
from commandside.saga.causes import Causes
from commandside.saga.unfinished import Unfinished, look_by_order
from commandside.writer import Busy, Contended, Writer

STOPPING_SECONDS = 1.0  # what captures under way are still given once the process is to end
_log = structlog.get_logger(__name__)


class Capturing:
    """Asks the provider, and records what came of it. Whatever does not work now is the resumption's, later."""

    def __init__(
        self,
        writer: Writer,
        provider: PaymentProvider,
        causes: Causes,
        *,
        under_way_limit_count: int = 256,
    ) -> None:
        self._writer = writer
        self._provider = provider
        self._causes = causes
        self._under_way_limit_count = under_way_limit_count
        self._under_way: set[asyncio.Task[None]] = set()

    def soon(self, order_id: UUID) -> None:
        """Takes the order's money while its shopper is answered. Beyond the limit it is left to the resumption."""
        if len(self._under_way) < self._under_way_limit_count:
            task = asyncio.create_task(self._move(order_id), name="capture")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def drain(self) -> None:
        """Waits for those under way, each of which is bounded by the provider's own bounds."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self) -> None:
        """Those under way have a second; what is cut off then is taken up by the next process."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=STOPPING_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def move_money(self, order_id: UUID) -> str | None:
        """Does all that is due: the capture, then the refunds. Returns why not, where it could not be done.

        Raises what the writer raises.
        """
        unfinished = await self._look(order_id)
        if unfinished is not None and unfinished.capture_due:
            put_off = await self._capture(unfinished)
            if put_off is not None:
                return put_off
            unfinished = await self._look(order_id)
        return None if unfinished is None else await self._refund(unfinished)

    async def move_now(self, order_id: UUID, within_seconds: float = 3.0) -> None:
        """Does what an order's change has just asked for, within the time that its request has."""
        with suppress(TimeoutError):  # then it is due, and the resumption's
            async with asyncio.timeout(within_seconds):
                await self.move_money(order_id)

    async def _move(self, order_id: UUID) -> None:
        try:
            put_off = await self.move_money(order_id)
        except (StoreUnavailable, Busy, Contended) as error:
            put_off = str(error)
        except Exception:  # it is due, and the resumption's; but the fault is seen
            _log.exception("payment not captured", order_id=str(order_id))
            return
        if put_off is not None:
            _log.warning("payment not captured yet", order_id=str(order_id), reason=put_off)

    async def _look(self, order_id: UUID) -> Unfinished | None:
        unfinished = (await self._writer.execute(partial(look_by_order, order_id=order_id))).result
        return None if unfinished is None or unfinished.awaits_payment else unfinished

    async def _capture(self, unfinished: Unfinished) -> str | None:
        order_id, payment, amount = unfinished.order_id, unfinished.payment, unfinished.amount_to_capture
        cause = self._causes.of("checkout", f"checkout:{order_id}", str(order_id))
        try:
            # What is all to go back is not taken in the first place.
            outcome = await (
                self._provider.capture(payment, amount) if amount.amount else self._provider.cancel(payment)
            )
        except ProviderError as error:
            return f"capture: {error}"
        match outcome:
            case Captured():
                await self._writer.execute(partial(concluding.capture, order_id=order_id, payment=outcome, cause=cause))
            case Cancelled(reference):
                await self._writer.execute(
                    partial(concluding.release_payment, order_id=order_id, reference=reference, cause=cause)
                )
            case CaptureRefused(reason) | Declined(reason):
                refused = await self._writer.execute(
                    partial(concluding.refuse_capture, order_id=order_id, reason=reason, cause=cause)
                )
                # Not the shopper's doing: somebody has to look, at once where the goods are on their way.
                _log.error("capture refused", order_id=str(order_id), reason=reason, cancelled=refused.result)
                return None if refused.result else f"capture refused: {reason}"
            case Authorised():
                return "the provider still holds what it was to let go of"
        return None

    async def _refund(self, unfinished: Unfinished) -> str | None:
        order_id = unfinished.order_id
        put_off: str | None = None
        for refund_id, amount in unfinished.refunds_due:
            try:
                outcome = await self._provider.refund(unfinished.payment, refund_id, amount)
            except ProviderError as error:
                return f"refund {refund_id}: {error}"  # whom we cannot reach for one we cannot reach for the others
            if not isinstance(outcome, Refunded):
                _log.error("refund refused", order_id=str(order_id), refund_id=refund_id, reason=outcome.reason)
                put_off = f"refund {refund_id} refused: {outcome.reason}"
                continue
            await self._writer.execute(
                partial(
                    concluding.refund_made,
                    order_id=order_id,
                    refund_id=refund_id,
                    reference=outcome.reference,
                    cause=self._causes.of("checkout", f"checkout:{order_id}", str(order_id)),
                )
            )
        return put_off
