"""What every PaymentProvider keeps to, in what is refunded."""

from __future__ import annotations

import asyncio

import pytest

from commandside.payments.port import (
    Captured,
    PaymentKeyReused,
    Refunded,
    RefundRefused,
)
from domain.values import Money
from tests.contract.payments.suite import (
    NOT_CAPTURED,
    PART,
    PENNY,
    TOO_MUCH_BACK,
    insisting,
    needs,
    taken,
)
from tests.contract.payments.under_test import UnderTest, Way
from tests.payments import AMOUNT


async def test_a_refund_is_made_once_by_its_key(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, await taken(under_test, AMOUNT)

    refunds = await asyncio.gather(*(insisting(provider.refund, payment, "r1", Money(1000, "GBP")) for _ in range(5)))

    assert len(set(refunds)) == 1
    assert isinstance(refunds[0], Refunded)
    rest = await provider.refund(payment, "r2", Money(999, "GBP"))
    assert isinstance(rest, Refunded)
    assert rest != refunds[0]
    assert await provider.refund(payment, "r3", PENNY) == TOO_MUCH_BACK
    assert await provider.refund(payment, "r1", Money(1000, "GBP")) == refunds[0]
    assert isinstance(await provider.find(payment), Captured)


async def test_refunds_at_once_never_exceed_what_was_captured(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, await taken(under_test, AMOUNT)

    refunds = await asyncio.gather(*(insisting(provider.refund, payment, f"r{n}", Money(700, "GBP")) for n in range(6)))

    assert sum(isinstance(refund, Refunded) for refund in refunds) == 2
    assert refunds.count(TOO_MUCH_BACK) == 4


async def test_of_a_part_that_was_captured_no_more_goes_back(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, await taken(under_test, PART)

    assert await provider.refund(payment, "all", AMOUNT) == TOO_MUCH_BACK
    assert isinstance(await provider.refund(payment, "some", Money(700, "GBP")), Refunded)
    assert await provider.refund(payment, "more", Money(501, "GBP")) == TOO_MUCH_BACK
    assert isinstance(await provider.refund(payment, "rest", Money(500, "GBP")), Refunded)
    assert await provider.find(payment) == await provider.capture(payment, PART)


async def test_a_refund_in_another_currency_is_refused(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, await taken(under_test, AMOUNT)

    assert isinstance(await provider.refund(payment, "r", Money(1, "EUR")), RefundRefused)


async def test_a_refund_key_used_with_another_amount_is_refused(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, await taken(under_test, AMOUNT)
    await provider.refund(payment, "r", Money(500, "GBP"))

    with pytest.raises(PaymentKeyReused):
        await provider.refund(payment, "r", Money(501, "GBP"))

    assert isinstance(await provider.refund(payment, "rest", Money(1499, "GBP")), Refunded)


async def test_a_refund_key_is_its_payments_own(under_test: UnderTest) -> None:
    provider, one, other = under_test.provider, await taken(under_test, AMOUNT), await taken(under_test, PART)

    refunds = {await provider.refund(one, "r", AMOUNT), await provider.refund(other, "r", PENNY)}

    assert len(refunds) == 2
    assert all(isinstance(refund, Refunded) for refund in refunds)


async def test_before_the_capture_nothing_goes_back_and_a_refusal_is_not_remembered(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment()
    assert await provider.refund(payment, "r", AMOUNT) == NOT_CAPTURED
    await provider.authorise(payment)
    assert await provider.refund(payment, "r", AMOUNT) == NOT_CAPTURED
    await provider.capture(payment, PART)
    assert await provider.refund(payment, "r", AMOUNT) == TOO_MUCH_BACK

    assert isinstance(await provider.refund(payment, "r", PART), Refunded)


@needs(Way.LATER)
async def test_what_is_pending_is_not_refunded(under_test: UnderTest) -> None:
    payment = under_test.payment(Way.LATER)
    await under_test.provider.authorise(payment)

    assert await under_test.provider.refund(payment, "r", AMOUNT) == NOT_CAPTURED
