"""What every PaymentProvider keeps to, in what is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    Payment,
    PaymentOutcome,
    Pending,
    ProviderUnreachable,
)
from tests.contract.payments.suite import (
    NOT_AUTHORISED,
    NOT_CAPTURED,
    PART,
    found_after,
    held,
    insisting,
    needs,
    told,
    while_pending,
)
from tests.contract.payments.under_test import UnderTest, Way
from tests.payments import AMOUNT
from tests.waiting import eventually


async def test_what_was_cancelled_before_it_was_seen_is_never_held(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment()

    cancelled = await provider.cancel(payment)

    assert isinstance(cancelled, Cancelled)
    assert await provider.authorise(payment) == cancelled
    assert await provider.find(payment) == cancelled
    assert await provider.cancel(payment) == cancelled
    assert await provider.capture(payment, AMOUNT) == NOT_AUTHORISED
    assert await provider.refund(payment, "r", AMOUNT) == NOT_CAPTURED


async def test_what_is_held_is_let_go(under_test: UnderTest) -> None:
    payment, authorised = await held(under_test)

    cancelled = await under_test.provider.cancel(payment)

    assert cancelled == Cancelled(authorised.reference)
    assert await under_test.provider.capture(payment, AMOUNT) == NOT_AUTHORISED
    assert await under_test.provider.authorise(payment) == cancelled
    assert await under_test.provider.cancel(payment) == cancelled
    assert await under_test.provider.refund(payment, "r", AMOUNT) == NOT_CAPTURED
    assert await under_test.provider.find(payment) == cancelled


async def test_cancelling_comes_too_late_for_what_is_captured(under_test: UnderTest) -> None:
    payment, _ = await held(under_test)
    captured = await under_test.provider.capture(payment, PART)

    assert await under_test.provider.cancel(payment) == captured
    assert await under_test.provider.find(payment) == captured


@needs(Way.SLOW)
async def test_what_is_processing_and_cancelled_is_not_held(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment(Way.SLOW)
    authorising = asyncio.create_task(provider.authorise(payment))
    await eventually(lambda: provider.find(payment), lambda found: found is not None)

    cancelled = await provider.cancel(payment)

    assert isinstance(cancelled, Cancelled)
    assert await authorising == cancelled
    assert await provider.find(payment) == cancelled


@needs(Way.LATER)
async def test_what_is_pending_and_cancelled_is_not_held_later(under_test: UnderTest) -> None:
    provider, other = under_test.provider, under_test.payment(Way.LATER)

    async def attempt() -> tuple[Payment, PaymentOutcome, PaymentOutcome]:
        payment = under_test.payment(Way.LATER)
        return payment, await provider.authorise(payment), await provider.cancel(payment)

    payment, pending, cancelled = await while_pending(attempt)

    assert isinstance(pending, Pending)
    assert cancelled == Cancelled(pending.reference)
    # Another payment that is due later marks the time at which this one would have been held.
    later = await provider.authorise(other)
    await under_test.finish(other)
    assert isinstance(await found_after(under_test, other, later), Authorised)
    assert await provider.find(payment) == cancelled
    await told(under_test, payment, "payment.cancelled")
    assert "payment.authorised" not in {event.type for event in await under_test.told_of(payment)}


@needs(Way.FAILS_FIRST)
async def test_what_failed_first_can_be_cancelled(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment(Way.FAILS_FIRST)
    with pytest.raises(ProviderUnreachable):
        await provider.authorise(payment)

    cancelled = await provider.cancel(payment)

    assert isinstance(cancelled, Cancelled)
    assert await provider.authorise(payment) == cancelled


async def test_authorised_and_cancelled_at_once_it_is_cancelled(under_test: UnderTest) -> None:
    provider = under_test.provider
    for _ in range(10):
        payment = under_test.payment()

        authorised, cancelled = await asyncio.gather(
            insisting(provider.authorise, payment), insisting(provider.cancel, payment)
        )

        assert isinstance(cancelled, Cancelled)
        assert isinstance(authorised, Authorised | Cancelled)
        assert await provider.find(payment) == cancelled
        assert await provider.capture(payment, AMOUNT) == NOT_AUTHORISED


async def test_captured_and_cancelled_at_once_it_is_one_of_them(under_test: UnderTest) -> None:
    provider = under_test.provider
    for _ in range(10):
        payment, authorised = await held(under_test)

        captured, cancelled = await asyncio.gather(
            insisting(provider.capture, payment, AMOUNT), insisting(provider.cancel, payment)
        )

        assert captured in {NOT_AUTHORISED, Captured(authorised.reference, AMOUNT)}
        assert cancelled == (Cancelled(authorised.reference) if captured == NOT_AUTHORISED else captured)
        assert await provider.find(payment) == cancelled
