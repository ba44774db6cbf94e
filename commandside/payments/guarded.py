"""A provider behind a circuit breaker: while it does not answer, nobody is sent to it, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from commandside.payments.breaker import Bounds, Breaker, Call, State
from commandside.payments.metrics import CircuitMetrics
from commandside.payments.port import (
    AuthorisationOutcome,
    CaptureOutcome,
    Payment,
    PaymentKeyReused,
    PaymentOutcome,
    PaymentProvider,
    PaymentRefused,
    ProviderError,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
    RefundOutcome,
)
from domain.values import Money

# Whoever gives up sooner says nothing about the provider. Less than the 3 s that `settle` gives an attempt.
SILENCE_SECONDS: Final = 2.0
PROBE_TIMEOUT_SECONDS: Final = 1.0
T = TypeVar("T")
_log = structlog.get_logger(__name__)


class GuardedProvider:
    """PaymentProvider around another one. While the circuit is open every method raises CircuitOpen at once.

    `probe` asks the provider whether it is there, without a payment; with one, no new checkout has to be the trial.
    The clock is the event loop's.
    """

    def __init__(
        self,
        provider: PaymentProvider,
        bounds: Bounds | None = None,
        *,
        probe: Callable[[], Awaitable[bool]] | None = None,
        metrics: CircuitMetrics | None = None,
    ) -> None:
        self._provider = provider
        self._breaker = Breaker(bounds, self._note)
        self._probe = probe
        self._metrics = metrics

    async def authorise(self, payment: Payment) -> PaymentOutcome:
        return await self._guarded(lambda: self._provider.authorise(payment))

    async def find(self, payment: Payment) -> PaymentOutcome | None:
        return await self._guarded(lambda: self._provider.find(payment))

    async def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        return await self._guarded(lambda: self._provider.capture(payment, amount))

    async def cancel(self, payment: Payment) -> AuthorisationOutcome:
        return await self._guarded(lambda: self._provider.cancel(payment))

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        return await self._guarded(lambda: self._provider.refund(payment, refund_key, amount))

    async def closed_to_new_payments_for_seconds(self) -> float | None:
        """How long a new checkout had better wait; None: payments are taken. Never raises.

        Where the provider may be tried again, it is probed here, once for all who ask meanwhile: in
        PROBE_TIMEOUT_SECONDS at most.
        """
        if self._probe is not None and self._breaker.state(_now()) == "half_open":
            try:
                await self._guarded(self._answered_probe)
            except ProviderError:
                return self._breaker.refuses_for_seconds(_now())
        return self._breaker.refuses_for_seconds(_now())

    async def _answered_probe(self) -> None:
        assert self._probe is not None
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                if not await self._probe():
                    raise ProviderUnreachable("it is not ready")
        except TimeoutError as error:
            raise ProviderTimeout(f"no answer to the probe in {PROBE_TIMEOUT_SECONDS} s") from error

    async def _guarded(self, ask: Callable[[], Awaitable[T]]) -> T:
        call = self._breaker.begin(_now())
        try:
            answer = await ask()
        except BaseException as error:
            self._judge(call, error)
            raise
        self._breaker.answered(call, _now())
        return answer

    def _judge(self, call: Call, error: BaseException) -> None:
        now = _now()
        match error:
            case ProviderMisbehaved() | PaymentKeyReused() | PaymentRefused():
                self._breaker.answered(call, now)
            case ProviderUnreachable():
                self._breaker.failed(call, now)
            case ProviderTimeout():
                self._breaker.silent(call, now)
            # The caller's own patience: `settle` bounds each attempt from outside.
            case asyncio.CancelledError() | TimeoutError() if now - call.began >= SILENCE_SECONDS:
                self._breaker.silent(call, now)
            case _:
                self._breaker.given_up(call)

    def _note(self, state: State) -> None:
        if state == "open":
            _log.warning("payments circuit open")
        else:
            _log.warning("payments circuit closed")
        if self._metrics is not None:
            self._metrics.note(state)


def _now() -> float:
    return asyncio.get_running_loop().time()
