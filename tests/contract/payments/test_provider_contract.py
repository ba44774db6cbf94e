"""What every PaymentProvider keeps to, in what is authorised. The suite goes on in the other `test_provider_…` of this
folder; `backends.py` names those that are tested, another one is a line there.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from commandside.payments.port import (
    Authorised,
    Captured,
    Declined,
    Payment,
    PaymentKeyReused,
    PaymentOutcome,
    Pending,
    Processing,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
)
from domain.values import Money
from tests.contract.payments.backends import BACKENDS
from tests.contract.payments.suite import (
    NOT_AUTHORISED,
    NOT_CAPTURED,
    PART,
    PENNY,
    TOO_MUCH_BACK,
    ensure_not_to_be_captured,
    found_after,
    insisting,
    needs,
    told,
    while_pending,
)
from tests.contract.payments.under_test import Backend, UnderTest, Way
from tests.payments import AMOUNT
from tests.waiting import eventually


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_what_a_backend_lacks_it_says_and_why(backend: Backend) -> None:
    assert backend.tokens.keys() | backend.lacks.keys() == set(Way)
    assert not backend.tokens.keys() & backend.lacks.keys()
    assert all(backend.lacks.values())
    assert Way.GOOD in backend.tokens and Way.DECLINED in backend.tokens


async def test_the_money_is_held_and_found_again(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment()

    authorised = await provider.authorise(payment)

    assert isinstance(authorised, Authorised)
    assert await provider.find(payment) == authorised
    assert await provider.authorise(payment) == authorised


async def test_of_a_key_that_was_never_used_nothing_is_known(under_test: UnderTest) -> None:
    assert await under_test.provider.find(under_test.payment()) is None


@pytest.mark.parametrize(
    ("under_test", "way"),
    [
        pytest.param(backend, way, id=f"{backend.name}-{way.name}")
        for backend in BACKENDS
        for way in (Way.DECLINED, Way.NO_FUNDS, Way.UNKNOWN)
        if way in backend.tokens
    ],
    indirect=["under_test"],
)
async def test_what_is_declined_is_declined_for_good(under_test: UnderTest, way: Way) -> None:
    provider, payment = under_test.provider, under_test.payment(way)
    declined = Declined(under_test.backend.reasons[way])

    assert await provider.authorise(payment) == declined

    assert await provider.authorise(payment) == declined
    assert await provider.capture(payment, AMOUNT) == NOT_AUTHORISED
    assert await provider.cancel(payment) == declined
    assert await provider.refund(payment, "r", AMOUNT) == NOT_CAPTURED
    assert await provider.find(payment) == declined


@needs(Way.UNANSWERED)
async def test_money_held_without_an_answer_is_found_held(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment(Way.UNANSWERED)
    with pytest.raises(ProviderTimeout):
        await provider.authorise(payment)

    found = await provider.find(payment)

    assert isinstance(found, Authorised)
    assert await provider.authorise(payment) == found
    assert await provider.capture(payment, AMOUNT) == Captured(found.reference, AMOUNT)


@needs(Way.SLOW)
async def test_what_is_slow_is_answered_when_it_is_done(under_test: UnderTest) -> None:
    began = asyncio.get_running_loop().time()

    assert isinstance(await under_test.provider.authorise(under_test.payment(Way.SLOW)), Authorised)

    assert asyncio.get_running_loop().time() - began >= 0.2


@needs(Way.TOO_SLOW)
async def test_what_is_slower_than_its_caller_is_processing_and_held_at_the_end(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment(Way.TOO_SLOW)
    with pytest.raises(ProviderTimeout):
        await provider.authorise(payment)

    processing = await provider.find(payment)

    assert isinstance(processing, Processing)
    await ensure_not_to_be_captured(under_test, payment)
    await under_test.finish(payment)
    assert await found_after(under_test, payment, processing) == Authorised(processing.reference)


@needs(Way.SLOW)
async def test_a_second_attempt_does_not_wait_for_a_slow_first(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment(Way.SLOW)
    first = asyncio.create_task(provider.authorise(payment))
    await eventually(lambda: provider.find(payment), lambda found: found is not None)

    second = await provider.authorise(payment)

    assert isinstance(second, Processing)
    assert await first == Authorised(second.reference)


@needs(Way.FAILS_FIRST)
async def test_a_failed_attempt_holds_nothing_and_the_next_one_does(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment(Way.FAILS_FIRST)
    with pytest.raises(ProviderUnreachable):
        await provider.authorise(payment)
    assert await provider.find(payment) is None

    authorised = await provider.authorise(payment)

    assert isinstance(authorised, Authorised)
    assert await provider.find(payment) == authorised


@needs(Way.LATER)
async def test_what_is_pending_is_held_later_and_told(under_test: UnderTest) -> None:
    provider = under_test.provider

    async def attempt() -> tuple[Payment, PaymentOutcome, PaymentOutcome]:
        payment = under_test.payment(Way.LATER)
        return payment, await provider.authorise(payment), await provider.authorise(payment)

    payment, pending, again = await while_pending(attempt)

    assert isinstance(pending, Pending)
    assert again == pending
    await under_test.finish(payment)
    assert await found_after(under_test, payment, pending) == Authorised(pending.reference)
    event = await told(under_test, payment, "payment.authorised")
    assert (event.order_id, event.amount) == (payment.order_id, AMOUNT)
    assert (event.reference, event.reason, event.captured) == (pending.reference, None, None)
    assert await provider.capture(payment, PART) == Captured(pending.reference, PART)


@needs(Way.LATER_DECLINED)
async def test_what_is_pending_may_be_declined_later_and_told(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment(Way.LATER_DECLINED)

    pending = await provider.authorise(payment)

    assert isinstance(pending, Pending)
    await under_test.finish(payment)
    reason = under_test.backend.reasons[Way.LATER_DECLINED]
    assert await found_after(under_test, payment, pending) == Declined(reason)
    assert (await told(under_test, payment, "payment.declined")).reason == reason


async def test_many_authorisations_at_once_under_one_key_are_one(under_test: UnderTest) -> None:
    provider, payment = under_test.provider, under_test.payment()

    outcomes = await asyncio.gather(*(insisting(provider.authorise, payment) for _ in range(20)))

    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], Authorised)
    assert await provider.capture(payment, AMOUNT) == Captured(outcomes[0].reference, AMOUNT)
    assert isinstance(await provider.refund(payment, "all", AMOUNT), Refunded)
    assert await provider.refund(payment, "a-penny-more", PENNY) == TOO_MUCH_BACK


@pytest.mark.parametrize("other", [Money(2000, "GBP"), Money(1999, "EUR")])
async def test_a_key_used_with_another_amount_is_refused(under_test: UnderTest, other: Money) -> None:
    provider, payment = under_test.provider, under_test.payment()
    authorised = await provider.authorise(payment)

    with pytest.raises(PaymentKeyReused):
        await provider.authorise(replace(payment, amount=other))

    assert await provider.find(payment) == authorised


async def test_who_knows_the_reference_may_say_it(under_test: UnderTest) -> None:
    provider, unknown = under_test.provider, under_test.payment()
    authorised = await provider.authorise(unknown)
    assert isinstance(authorised, Authorised)
    payment = replace(unknown, reference=authorised.reference)

    assert await provider.find(payment) == authorised
    captured = await provider.capture(payment, PART)
    assert captured == Captured(authorised.reference, PART)
    assert await provider.cancel(payment) == captured
    assert isinstance(await provider.refund(payment, "r", PART), Refunded)
    assert await provider.authorise(payment) == captured
