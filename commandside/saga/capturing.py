"""The money of an order that stands: taken once, all but what is to go back already, and given back as asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import structlog

from commandside.aggregates import Aggregates
from commandside.event_store import StoreUnavailable
from commandside.payments.port import (
    NOT_AUTHORISED,
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


class PutOff(Exception):
    """It could not be done now, for this reason; it stays due."""


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
        self._under_way: dict[asyncio.Task[None], None] = {}  # in the order in which they began

    def soon(self, unfinished: Unfinished) -> None:
        """Takes the money of an order just placed, beside its answer. Beyond the limit the resumption does."""
        if len(self._under_way) < self._under_way_limit_count:
            moving = self._or_later(partial(self._move, unfinished), unfinished.order_id)
            task = asyncio.create_task(moving, name="capture")
            self._under_way[task] = None
            task.add_done_callback(self._under_way.pop)

    async def drain(self) -> None:
        """Waits for those under way, each of which is bounded by the provider's own bounds."""
        while self._under_way:
            await asyncio.wait(self._under_way)  # unbounded: each of them is bounded

    async def stop(self) -> None:
        """Those under way have a second; what is cut off then is taken up by the next process."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=STOPPING_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def move_money(self, order_id: UUID) -> None:
        """Does all that is due: the capture, then the refunds. Raises PutOff, and what the writer raises."""
        unfinished = (await self._writer.execute(partial(look_by_order, order_id=order_id))).result
        if unfinished is not None and not unfinished.awaits_payment:
            await self._move(unfinished)

    async def move_now(self, order_id: UUID, within_seconds: float = 3.0) -> None:
        """Does what an order's change has just asked for, within the time that its request has. Raises nothing: the
        change is in the log, and is to be answered as that.
        """

        async def in_time() -> None:
            async with asyncio.timeout(within_seconds):
                await self.move_money(order_id)

        await self._or_later(in_time, order_id)

    async def _or_later(self, move: Callable[[], Awaitable[None]], order_id: UUID) -> None:
        try:
            await move()
        except (PutOff, TimeoutError, StoreUnavailable, Busy, Contended) as error:
            _log.warning("payment put off", order_id=str(order_id), reason=str(error) or "no time left")
        except Exception:  # it is due, and the resumption's; but the fault is seen
            _log.exception("payment not moved", order_id=str(order_id))

    async def _move(self, unfinished: Unfinished) -> None:
        left = await self._capture(unfinished) if unfinished.capture_due else unfinished
        if left is not None:
            await self._refund(left)

    async def _capture(self, unfinished: Unfinished) -> Unfinished | None:
        """Returns what is left to do afterwards. Raises PutOff."""
        order_id, payment, amount = unfinished.order_id, unfinished.payment, unfinished.amount_to_capture
        try:
            # What is all to go back is not taken in the first place.
            outcome = await (
                self._provider.capture(payment, amount) if amount.amount else self._provider.cancel(payment)
            )
        except ProviderError as error:
            raise PutOff(f"capture: {error}") from error
        cause = self._causes.of_checkout(order_id)
        step: Callable[[Aggregates], Unfinished | None]
        match outcome:
            case Captured():
                step = partial(concluding.capture, order_id=order_id, payment=outcome, cause=cause)
            case Cancelled() | Declined():  # asked only where all is to go back: that nothing is held is all it takes
                reference = outcome.reference if isinstance(outcome, Cancelled) else payment.reference or ""
                step = partial(concluding.release_payment, order_id=order_id, reference=reference, cause=cause)
            case CaptureRefused(reason) if reason != NOT_AUTHORISED:
                raise PutOff(f"capture refused: {reason}")
            case CaptureRefused(reason):
                # Not the shopper's doing: somebody has to look, at once where the goods are on their way.
                _log.error("capture refused", order_id=str(order_id), reason=reason)
                step = partial(concluding.refuse_capture, order_id=order_id, reason=reason, cause=cause)
            case Authorised():
                raise PutOff("the provider still holds what it was to let go of")
        left = (await self._writer.execute(step)).result
        if left is not None and left.capture_due:
            raise PutOff("capture refused, and the order is on its way")
        return left

    async def _refund(self, unfinished: Unfinished) -> None:
        """Raises PutOff."""
        order_id, put_off = unfinished.order_id, None
        for refund_id, amount in unfinished.refunds_due:
            try:
                outcome = await self._provider.refund(unfinished.payment, refund_id, amount)
            except ProviderError as error:  # whom we cannot reach for one we cannot reach for the others
                raise PutOff(f"refund {refund_id}: {error}") from error
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
                    cause=self._causes.of_checkout(order_id),
                )
            )
        if put_off is not None:
            raise PutOff(put_off)
