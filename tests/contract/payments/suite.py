"""What the tests of the contract have in common."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

import pytest

from commandside.payments.port import (
    Authorised,
    Captured,
    CaptureRefused,
    Payment,
    PaymentOutcome,
    ProviderTimeout,
    ProviderUnreachable,
    RefundRefused,
)
from commandside.payments.webhook import WebhookEvent
from domain.values import Money
from tests.contract.payments.backends import BACKENDS
from tests.contract.payments.under_test import UnderTest, Way
from tests.payments import AMOUNT
from tests.waiting import eventually

P = ParamSpec("P")
T = TypeVar("T")

PART: Final = Money(1200, "GBP")
PENNY: Final = Money(1, "GBP")
NOT_AUTHORISED: Final = CaptureRefused("not_authorised")
NOT_CAPTURED: Final = RefundRefused("not_captured")
TOO_MUCH_BACK: Final = RefundRefused("exceeds_capture")
# How long a payment stays pending that is authorised later, at every one of them.
PENDING_SECONDS: Final = 0.5
ATTEMPTS_LIMIT_COUNT: Final = 20


def needs(*ways: Way) -> pytest.MarkDecorator:
    """The backends whose world has all of these; the others say in `lacks` why theirs has not."""
    able = [backend for backend in BACKENDS if backend.tokens.keys() >= set(ways)]
    return pytest.mark.parametrize("under_test", able, indirect=True, ids=[backend.name for backend in able])


async def held(under_test: UnderTest, way: Way = Way.GOOD) -> tuple[Payment, Authorised]:
    payment = under_test.payment(way)
    authorised = await under_test.provider.authorise(payment)
    assert isinstance(authorised, Authorised)
    return payment, authorised


async def taken(under_test: UnderTest, amount: Money) -> Payment:
    payment, _ = await held(under_test)
    assert isinstance(await under_test.provider.capture(payment, amount), Captured)
    return payment


async def found_after(under_test: UnderTest, payment: Payment, before: PaymentOutcome) -> PaymentOutcome | None:
    return await eventually(lambda: under_test.provider.find(payment), lambda found: found != before)


async def told(under_test: UnderTest, payment: Payment, kind: str) -> WebhookEvent:
    """The event of this kind, once there is one. A provider may tell of more than it has to."""

    def of_kind(events: list[WebhookEvent]) -> list[WebhookEvent]:
        return [event for event in events if event.type == kind]

    events = await eventually(lambda: under_test.told_of(payment), lambda events: bool(of_kind(events)))
    return of_kind(events)[0]


async def while_pending(attempt: Callable[[], Awaitable[T]]) -> T:
    """What comes of an attempt on a payment of its own that is over before the payment is: a busy machine may need
    several of them.
    """
    for _ in range(ATTEMPTS_LIMIT_COUNT):
        began = time.monotonic()
        made = await attempt()
        if time.monotonic() - began < PENDING_SECONDS:
            return made
    raise AssertionError(f"no attempt took less than {PENDING_SECONDS} s")


async def ensure_not_to_be_captured(under_test: UnderTest, payment: Payment) -> None:
    before = await under_test.provider.find(payment)
    assert isinstance(await under_test.provider.capture(payment, AMOUNT), CaptureRefused)
    assert await under_test.provider.find(payment) == before


async def insisting(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """What comes of it in the end: while another request under the same key is under way, a provider may say so."""
    for _ in range(10):
        try:
            return await call(*args, **kwargs)
        except (ProviderUnreachable, ProviderTimeout):
            await asyncio.sleep(0.02)
    return await call(*args, **kwargs)
