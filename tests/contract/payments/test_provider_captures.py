"""What every PaymentProvider keeps to, in what is captured."""

from __future__ import annotations

import asyncio

import pytest

from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    CaptureOutcome,
    CaptureRefused,
    Payment,
    PaymentOutcome,
    Pending,
    ProviderTimeout,
)
from domain.values import Money
from tests.contract.payments.suite import (
    NOT_AUTHORISED,
    NOT_CAPTURED,
    PART,
    PENNY,
    found_after,
    held,
    insisting,
    needs,
    told,
    while_pending,
)
from tests.contract.payments.under_test import UnderTest, Way
from tests.payments import AMOUNT


async def test_what_is_held_is_captured_whole(under_test: UnderTest) -> None:
    payment, authorised = await held(under_test)

    captured = await under_test.provider.capture(payment, AMOUNT)

    assert captured == Captured(authorised.reference, AMOUNT)
    assert await under_test.provider.find(payment) == captured
    assert await under_test.provider.authorise(payment) == captured


async def test_of_what_is_held_a_part_is_captured_and_the_rest_let_go(under_test: UnderTest) -> None:
    payment, authorised = await held(under_test)

    captured = await under_test.provider.capture(payment, PART)

    assert captured == Captured(authorised.reference, PART)
    assert await under_test.provider.capture(payment, Money(799, "GBP")) == captured
    assert await under_test.provider.find(payment) == captured
    assert await under_test.provider.authorise(payment) == captured


@pytest.mark.parametrize("again", [PART, AMOUNT, PENNY, Money(5000, "GBP"), Money(0, "GBP"), Money(1200, "EUR")])
async def test_a_second_capture_says_what_was_captured_whatever_it_asks_for(
    under_test: UnderTest, again: Money
) -> None:
    payment, authorised = await held(under_test)
    captured = await under_test.provider.capture(payment, PART)

    assert await under_test.provider.capture(payment, again) == captured == Captured(authorised.reference, PART)
    assert await under_test.provider.find(payment) == captured


@pytest.mark.parametrize("amount", [Money(2000, "GBP"), Money(0, "GBP"), Money(1999, "EUR")])
async def test_more_than_is_held_or_nothing_or_another_currency_is_not_captured(
    under_test: UnderTest, amount: Money
) -> None:
    payment, authorised = await held(under_test)

    assert isinstance(await under_test.provider.capture(payment, amount), CaptureRefused)

    assert await under_test.provider.find(payment) == authorised
    assert await under_test.provider.refund(payment, "r", PENNY) == NOT_CAPTURED
    assert await under_test.provider.capture(payment, AMOUNT) == Captured(authorised.reference, AMOUNT)


async def test_what_was_never_authorised_is_not_captured(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment()

    assert await provider.capture(payment, AMOUNT) == NOT_AUTHORISED

    assert await provider.find(payment) is None


async def test_many_captures_at_once_are_one(under_test: UnderTest) -> None:
    payment, authorised = await held(under_test)
    amounts = [Money(minor, "GBP") for minor in range(100, 1100, 100)]

    outcomes = await asyncio.gather(*(insisting(under_test.provider.capture, payment, amount) for amount in amounts))

    assert len(set(outcomes)) == 1
    captured = outcomes[0]
    assert isinstance(captured, Captured)
    assert captured.reference == authorised.reference
    assert captured.amount in amounts
    assert await under_test.provider.find(payment) == captured


@needs(Way.CAPTURE_FAILS_FIRST)
async def test_a_failed_capture_takes_nothing_and_the_next_one_does(under_test: UnderTest) -> None:
    payment, authorised = await held(under_test, Way.CAPTURE_FAILS_FIRST)

    # An adapter may try again by itself.
    captured = await insisting(under_test.provider.capture, payment, AMOUNT)

    assert captured == Captured(authorised.reference, AMOUNT)
    assert await under_test.provider.find(payment) == captured


@needs(Way.CAPTURE_UNANSWERED)
async def test_what_is_captured_without_an_answer_is_found_captured_and_told(under_test: UnderTest) -> None:
    payment, authorised = await held(under_test, Way.CAPTURE_UNANSWERED)
    with pytest.raises(ProviderTimeout):
        await under_test.provider.capture(payment, PART)

    found = await under_test.provider.find(payment)

    assert found == Captured(authorised.reference, PART)
    assert await under_test.provider.capture(payment, AMOUNT) == found
    event = await told(under_test, payment, "payment.captured")
    assert (event.amount, event.captured, event.reference) == (AMOUNT, PART, authorised.reference)


@needs(Way.CAPTURE_REFUSED)
async def test_what_the_provider_let_go_is_not_captured_any_more(under_test: UnderTest) -> None:
    payment, _ = await held(under_test, Way.CAPTURE_REFUSED)

    assert await under_test.provider.capture(payment, AMOUNT) == NOT_AUTHORISED

    cancelled = await under_test.provider.find(payment)
    assert isinstance(cancelled, Cancelled)
    assert await under_test.provider.cancel(payment) == cancelled
    assert await under_test.provider.capture(payment, AMOUNT) == NOT_AUTHORISED


@needs(Way.LATER)
async def test_what_is_pending_is_not_captured_yet(under_test: UnderTest) -> None:
    provider = under_test.provider

    async def attempt() -> tuple[Payment, PaymentOutcome, CaptureOutcome, PaymentOutcome | None]:
        payment = under_test.payment(Way.LATER)
        authorised = await provider.authorise(payment)
        return payment, authorised, await provider.capture(payment, AMOUNT), await provider.find(payment)

    payment, pending, refused, found = await while_pending(attempt)

    assert isinstance(pending, Pending)
    assert isinstance(refused, CaptureRefused)
    assert found == pending
    await under_test.finish(payment)
    assert await found_after(under_test, payment, pending) == Authorised(pending.reference)
    assert await provider.capture(payment, AMOUNT) == Captured(pending.reference, AMOUNT)
