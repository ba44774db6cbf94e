from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from commandside.payments import guarded
from commandside.payments.breaker import Bounds, CircuitOpen
from commandside.payments.guarded import GuardedProvider
from commandside.payments.metrics import CircuitMetrics
from commandside.payments.port import (
    Authorised,
    Payment,
    PaymentKeyReused,
    PaymentRefused,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
)
from domain.values import Money
from tests.fakes.payments import FakePaymentProvider

AMOUNT = Money(1999, "GBP")
PAYMENT = Payment("key", AMOUNT, "tok_ok", "key")
OPEN_SECONDS = 5.0
Raise = Callable[..., Awaitable[None]]


def raising(error: Exception) -> Raise:
    async def call(*_: object) -> None:
        raise error

    return call


class Behind:
    """A provider in memory behind a circuit that two failures open, for a moment."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.inner = FakePaymentProvider()
        self.is_there = True
        self.probes_count = 0
        self.at = 100.0  # by the circuit's clock, which stands still until it is moved
        self.provider = GuardedProvider(
            self.inner,
            Bounds(failures_limit_count=2, open_seconds=OPEN_SECONDS),
            probe=self._probe,
            metrics=CircuitMetrics(self.registry),
        )

    async def _probe(self) -> bool:
        self.probes_count += 1
        await asyncio.sleep(0)
        return self.is_there

    async def go_away(self) -> None:
        self.inner.unreachable, self.is_there = True, False
        for _ in range(2):
            with pytest.raises(ProviderUnreachable):
                await self.provider.find(PAYMENT)
        self.inner.calls.clear()

    def come_back(self) -> None:
        self.inner.unreachable, self.is_there = False, True

    def wait_until_half_open(self) -> None:
        self.at += OPEN_SECONDS

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"counterfoil_payments_circuit_{name}", labels)


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Behind:
    behind = Behind()
    monkeypatch.setattr(guarded, "_now", lambda: behind.at)
    return behind


async def authorise(behind: Behind, token: str = "tok_ok") -> object:
    key = str(uuid4())
    return await behind.provider.authorise(Payment(key, AMOUNT, token, key))


async def test_while_it_is_open_nobody_is_sent(behind: Behind) -> None:
    await behind.go_away()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: authorise(behind),
        lambda: behind.provider.find(PAYMENT),
        lambda: behind.provider.capture(PAYMENT, AMOUNT),
        lambda: behind.provider.cancel(PAYMENT),
        lambda: behind.provider.refund(PAYMENT, "r", AMOUNT),
    ]
    for call in calls:
        with pytest.raises(CircuitOpen) as refused:
            await call()
        assert 0 < refused.value.retry_after_seconds <= OPEN_SECONDS
    assert behind.inner.calls == {}
    assert isinstance(CircuitOpen(1.0), ProviderUnreachable), "who can wait for a provider waits for this too"


async def test_who_comes_with_a_new_payment_is_told_how_long(behind: Behind) -> None:
    assert await behind.provider.closed_to_new_payments_for_seconds() is None
    await behind.go_away()
    told = await behind.provider.closed_to_new_payments_for_seconds()
    assert told is not None
    assert 0 < told <= OPEN_SECONDS
    assert behind.probes_count == 0


async def test_one_probe_for_all_who_come_finds_it_back(behind: Behind) -> None:
    await behind.go_away()
    behind.come_back()
    behind.wait_until_half_open()
    told = await asyncio.gather(*(behind.provider.closed_to_new_payments_for_seconds() for _ in range(20)))
    assert (told.count(None), behind.probes_count) == (1, 1)
    assert isinstance(await authorise(behind), Authorised)
    assert await behind.provider.closed_to_new_payments_for_seconds() is None


async def test_a_probe_that_finds_nobody_leaves_it_open(behind: Behind) -> None:
    await behind.go_away()
    behind.wait_until_half_open()
    told = await behind.provider.closed_to_new_payments_for_seconds()
    assert told is not None
    assert told > 0
    with pytest.raises(CircuitOpen):
        await authorise(behind)


async def test_without_a_probe_the_next_call_is_the_trial(behind: Behind) -> None:
    inner = behind.inner
    provider = GuardedProvider(inner, Bounds(failures_limit_count=1, open_seconds=OPEN_SECONDS))
    inner.unreachable = True
    with pytest.raises(ProviderUnreachable):
        await provider.find(PAYMENT)
    assert await provider.closed_to_new_payments_for_seconds() is not None
    inner.unreachable = False
    behind.wait_until_half_open()
    assert await provider.closed_to_new_payments_for_seconds() is None
    assert await provider.find(PAYMENT) is None
    assert await provider.closed_to_new_payments_for_seconds() is None


@pytest.mark.parametrize("error", [ProviderMisbehaved("html"), PaymentKeyReused(), PaymentRefused("401")])
async def test_who_says_no_is_there(behind: Behind, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(behind.inner, "find", raising(error))
    for _ in range(5):
        with pytest.raises(type(error)):
            await behind.provider.find(PAYMENT)
    assert await behind.provider.closed_to_new_payments_for_seconds() is None


async def test_declines_are_answers(behind: Behind) -> None:
    for _ in range(5):
        await authorise(behind, "tok_declined")
    assert await behind.provider.closed_to_new_payments_for_seconds() is None


async def test_silence_opens_it(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behind.inner, "find", raising(ProviderTimeout()))
    for _ in range(2):
        with pytest.raises(ProviderTimeout):
            await behind.provider.find(PAYMENT)
    assert await behind.provider.closed_to_new_payments_for_seconds() is not None


@pytest.mark.parametrize(("silence_seconds", "opens"), [(0.0, True), (60.0, False)])
async def test_who_gives_up_after_long_says_that_it_is_silent(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, silence_seconds: float, opens: bool
) -> None:
    monkeypatch.setattr(guarded, "SILENCE_SECONDS", silence_seconds)
    monkeypatch.setattr(behind.inner, "find", lambda key: asyncio.Event().wait())
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await behind.provider.find(PAYMENT)
    assert (await behind.provider.closed_to_new_payments_for_seconds() is not None) == opens


async def test_a_trial_that_is_given_up_does_not_leave_it_half_open(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    await behind.go_away()
    behind.come_back()
    behind.wait_until_half_open()
    with monkeypatch.context() as hanging:
        hanging.setattr(behind.inner, "find", lambda key: asyncio.Event().wait())
        trial = asyncio.create_task(behind.provider.find(PAYMENT))
        await asyncio.sleep(0)
        with pytest.raises(CircuitOpen):
            await behind.provider.find(PAYMENT)
        trial.cancel()
        await asyncio.wait([trial], timeout=1)
    assert await behind.provider.find(PAYMENT) is None


async def test_the_metrics_say_so(behind: Behind) -> None:
    assert (behind.metric("open"), behind.metric("transitions_total", to="open")) == (0, 0)
    await behind.go_away()
    assert (behind.metric("open"), behind.metric("transitions_total", to="open")) == (1, 1)
    behind.come_back()
    behind.wait_until_half_open()
    assert await behind.provider.closed_to_new_payments_for_seconds() is None
    assert (behind.metric("open"), behind.metric("transitions_total", to="closed")) == (0, 1)
