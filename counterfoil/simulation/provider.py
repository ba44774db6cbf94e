"""The way to a simulated payment provider: requests and answers are late, lost and doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from commandside.payments.port import (
    AuthorisationOutcome,
    Captured,
    CaptureOutcome,
    Payment,
    PaymentOutcome,
    Processing,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    RefundOutcome,
)
from counterfoil.simulation.books import Books, processed_seconds
from counterfoil.simulation.world import World
from domain.values import Money

T = TypeVar("T")
TIMEOUT_SECONDS: Final = 5.0
LONGEST_WAY_SECONDS: Final = 0.06


class ProviderConnection:
    """PaymentProvider, as one command process reaches it."""

    def __init__(
        self,
        world: World,
        books: Books,
        process: int,
        crash: Callable[[], None],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._world = world
        self._books = books
        self._process = process
        self._crash = crash
        self._timeout_seconds = timeout_seconds
        self.is_away = False

    async def authorise(self, payment: Payment) -> PaymentOutcome:
        books, token = self._books, payment.token
        is_first = books.find(payment) is None
        waits_seconds = processed_seconds(token)
        outcome = await self._call(partial(books.authorise, payment))
        if is_first and token == "tok_timeout":
            waits_seconds = self._timeout_seconds
        elif not is_first or not isinstance(outcome, Processing):
            return outcome
        try:
            await asyncio.sleep(min(waits_seconds, self._timeout_seconds))
            if waits_seconds >= self._timeout_seconds:
                raise ProviderTimeout("no answer")
        except (asyncio.CancelledError, ProviderTimeout):
            books.expect_no_answer(payment)  # who asked has gone
            raise
        found = books.find(payment)
        assert found is not None, "what was asked for is in the books"
        return found

    async def find(self, payment: Payment) -> PaymentOutcome | None:
        return await self._call(partial(self._books.find, payment))

    async def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        is_first = not isinstance(self._books.find(payment), Captured)
        outcome = await self._call(partial(self._books.capture, payment, amount))
        if is_first and payment.token == "tok_capture_timeout" and isinstance(outcome, Captured):
            await asyncio.sleep(self._timeout_seconds)
            raise ProviderTimeout("no answer")
        return outcome

    async def cancel(self, payment: Payment) -> AuthorisationOutcome:
        return await self._call(partial(self._books.cancel, payment))

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        return await self._call(partial(self._books.refund, payment, refund_key, amount))

    async def _call(self, act: Callable[[], T]) -> T:
        world = self._world
        if self.is_away or world.now_seconds < world.dark_until_seconds:
            await asyncio.sleep(self._way_seconds())
            raise ProviderUnreachable("no connection")
        fault = world.adversity.strike("call", self._process, world.now_seconds)
        if fault is None:
            return await world.later(self._way_seconds(), act)
        match fault.kind:
            case "crash_before_call":
                self._crash()
                silence: asyncio.Future[T] = world.loop.create_future()
                return await silence
            case "crash_after_call":
                return await world.later(self._way_seconds(), partial(self._act_and_crash, act))
            case "call_refused":
                await asyncio.sleep(self._way_seconds())
                raise ProviderUnreachable("answered with 503")
            case "call_doubled":
                world.later(self._way_seconds() + fault.seconds, act).add_done_callback(_look_at)
                return await world.later(self._way_seconds(), act)
            case "reply_late":
                outcome = await world.later(self._way_seconds(), act)
                await asyncio.sleep(min(fault.seconds, TIMEOUT_SECONDS))
                if fault.seconds < TIMEOUT_SECONDS:
                    return outcome
            case _:  # the answer is lost, and perhaps it is the last that the provider did for a while
                if fault.kind == "provider_goes_dark":
                    world.dark_until_seconds = world.now_seconds + fault.seconds
                    world.outages.note_provider_away(fault.seconds)
                world.later(self._way_seconds(), act).add_done_callback(_look_at)
                await asyncio.sleep(TIMEOUT_SECONDS)
        raise ProviderTimeout("no answer")

    def _act_and_crash(self, act: Callable[[], T]) -> T:
        try:
            return act()
        finally:
            self._crash()

    def _way_seconds(self) -> float:
        return 0.005 + self._world.dice.random() * LONGEST_WAY_SECONDS


def _look_at(unheard: asyncio.Future[T]) -> None:
    """Nobody hears of it; what the provider says to a request that came twice is nothing new."""
    error = unheard.exception()
    assert error is None or isinstance(error, ProviderError), error
