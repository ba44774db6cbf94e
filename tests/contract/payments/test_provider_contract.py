"""What every PaymentProvider keeps to. `backends.py` names those that do; another one is tested by a line there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, ParamSpec, TypeVar

import pytest

from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    CaptureRefused,
    Declined,
    Payment,
    PaymentKeyReused,
    PaymentOutcome,
    Pending,
    Processing,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
    RefundRefused,
)
from commandside.payments.webhook import WebhookEvent
from domain.values import Money
from tests.contract.payments.backends import BACKENDS
from tests.contract.payments.under_test import Backend, UnderTest, Way
from tests.payments import AMOUNT
from tests.waiting import eventually

P = ParamSpec("P")
T = TypeVar("T")

PART: Final = Money(1200, "GBP")
PENNY: Final = Money(1, "GBP")
NOT_AUTHORISED: Final = CaptureRefused("not_authorised")
NOT_CAPTURED: Final = RefundRefused("not_captured")
TOO_MUCH_BACK: Final = RefundRefused("exceeds_capture")


def needs(*ways: Way) -> pytest.MarkDecorator:
    """The backends whose world has all of these; the others say in `lacks` why theirs has not."""
    able = [backend for backend in BACKENDS if backend.tokens.keys() >= set(ways)]
    return pytest.mark.parametrize("under_test", able, indirect=True, ids=[backend.name for backend in able])


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_what_a_backend_lacks_it_says_and_why(backend: Backend) -> None:
    assert backend.tokens.keys() | backend.lacks.keys() == set(Way)
    assert not backend.tokens.keys() & backend.lacks.keys()
    assert all(backend.lacks.values())
    assert Way.GOOD in backend.tokens and Way.DECLINED in backend.tokens


# Authorising


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
    provider, payment = under_test.provider, under_test.payment(Way.LATER)

    pending = await provider.authorise(payment)

    assert isinstance(pending, Pending)
    assert await provider.authorise(payment) == pending
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


# Capturing


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
    provider, payment = under_test.provider, under_test.payment(Way.LATER)
    pending = await provider.authorise(payment)
    assert isinstance(pending, Pending)

    await ensure_not_to_be_captured(under_test, payment)

    await under_test.finish(payment)
    assert await found_after(under_test, payment, pending) == Authorised(pending.reference)
    assert await provider.capture(payment, AMOUNT) == Captured(pending.reference, AMOUNT)


# Cancelling


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
    provider, payment, other = under_test.provider, under_test.payment(Way.LATER), under_test.payment(Way.LATER)
    pending = await provider.authorise(payment)
    assert isinstance(pending, Pending)

    cancelled = await provider.cancel(payment)

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


# Refunding


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


async def ensure_not_to_be_captured(under_test: UnderTest, payment: Payment) -> None:
    before = await under_test.provider.find(payment)
    assert isinstance(await under_test.provider.capture(payment, AMOUNT), CaptureRefused)
    assert await under_test.provider.find(payment) == before


async def insisting(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """What comes of it in the end: while another request under the same key is under way, a provider may say so."""
    for _ in range(10):
        try:
            return await call(*args, **kwargs)
        except ProviderUnreachable:
            await asyncio.sleep(0.02)
    return await call(*args, **kwargs)
