"""What every PaymentProvider keeps to: the one in memory, the same behind a circuit breaker, that of the
simulation, and the built-in one through HTTP.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from commandside.payments.port import (
    Cancelled,
    Charged,
    Declined,
    PaymentKeyReused,
    PaymentProvider,
    Pending,
    Processing,
    ProviderTimeout,
    ProviderUnreachable,
    Refunded,
    RefundRefused,
)
from domain.values import Money
from tests.waiting import eventually

AMOUNT = Money(1999, "GBP")


@pytest.fixture
def key() -> str:
    return str(uuid4())


async def test_a_good_token_is_charged_and_found_again(provider: PaymentProvider, key: str) -> None:
    outcome = await provider.charge(key, AMOUNT, "tok_ok", key)

    assert isinstance(outcome, Charged)
    assert await provider.find(key) == outcome


async def test_of_a_key_that_was_never_used_nothing_is_known(provider: PaymentProvider, key: str) -> None:
    assert await provider.find(key) is None


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_nobody_knows", "unknown_token"),
        ("tok_slow_60001", "unknown_token"),
        ("tok_slow_", "unknown_token"),
        ("tok_slow_-1", "unknown_token"),
    ],
)
async def test_a_bad_token_is_declined_for_good(provider: PaymentProvider, key: str, token: str, reason: str) -> None:
    assert await provider.charge(key, AMOUNT, token, key) == Declined(reason)

    assert await provider.charge(key, AMOUNT, "tok_ok", key) == Declined(reason)
    assert await provider.find(key) == Declined(reason)


async def test_a_charge_without_an_answer_is_found_charged(provider: PaymentProvider, key: str) -> None:
    with pytest.raises(ProviderTimeout):
        await provider.charge(key, AMOUNT, "tok_timeout", key)

    outcome = await provider.find(key)
    assert isinstance(outcome, Charged)
    assert await provider.charge(key, AMOUNT, "tok_timeout", key) == outcome


async def test_a_slow_charge_is_answered_when_it_is_done(provider: PaymentProvider, key: str) -> None:
    began = asyncio.get_running_loop().time()

    outcome = await provider.charge(key, AMOUNT, "tok_slow_300", key)

    assert isinstance(outcome, Charged)
    assert asyncio.get_running_loop().time() - began >= 0.29


async def test_a_charge_slower_than_its_caller_is_processing_and_charged_at_the_end(
    provider: PaymentProvider, key: str
) -> None:
    with pytest.raises(ProviderTimeout):
        await provider.charge(key, AMOUNT, "tok_slow_2000", key)

    processing = await provider.find(key)
    assert isinstance(processing, Processing)
    outcome = await eventually(lambda: provider.find(key), lambda found: found != processing)
    assert outcome == Charged(processing.reference)


async def test_a_second_attempt_does_not_wait_for_a_slow_first(provider: PaymentProvider, key: str) -> None:
    first = asyncio.create_task(provider.charge(key, AMOUNT, "tok_slow_600", key))
    await eventually(lambda: provider.find(key), lambda found: found is not None)

    second = await provider.charge(key, AMOUNT, "tok_slow_600", key)

    assert isinstance(second, Processing)
    assert await first == Charged(second.reference)


async def test_a_failed_attempt_charges_nothing_and_the_next_one_does(provider: PaymentProvider, key: str) -> None:
    with pytest.raises(ProviderUnreachable):
        await provider.charge(key, AMOUNT, "tok_error_then_ok", key)
    assert await provider.find(key) is None

    outcome = await provider.charge(key, AMOUNT, "tok_error_then_ok", key)

    assert isinstance(outcome, Charged)
    assert await provider.find(key) == outcome


async def test_an_outcome_by_webhook_is_pending_until_then(provider: PaymentProvider, key: str) -> None:
    pending = await provider.charge(key, AMOUNT, "tok_webhook", key)

    assert isinstance(pending, Pending)
    assert await provider.charge(key, AMOUNT, "tok_webhook", key) == pending
    outcome = await eventually(lambda: provider.find(key), lambda found: found != pending)
    assert outcome == Charged(pending.reference)


async def test_an_outcome_by_webhook_may_be_a_decline(provider: PaymentProvider, key: str) -> None:
    pending = await provider.charge(key, AMOUNT, "tok_webhook_declined", key)

    assert isinstance(pending, Pending)
    outcome = await eventually(lambda: provider.find(key), lambda found: found != pending)
    assert outcome == Declined("card_declined")


async def test_many_charges_at_once_under_one_key_are_one(provider: PaymentProvider, key: str) -> None:
    outcomes = await asyncio.gather(*(provider.charge(key, AMOUNT, "tok_ok", key) for _ in range(20)))

    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], Charged)
    assert isinstance(await provider.refund(key, "all", AMOUNT), Refunded)
    assert await provider.refund(key, "a-penny-more", Money(1, "GBP")) == RefundRefused("exceeds_charge")


@pytest.mark.parametrize("other", [Money(2000, "GBP"), Money(1999, "EUR")])
async def test_a_key_used_with_another_amount_is_refused(provider: PaymentProvider, key: str, other: Money) -> None:
    charged = await provider.charge(key, AMOUNT, "tok_ok", key)

    with pytest.raises(PaymentKeyReused):
        await provider.charge(key, other, "tok_ok", key)

    assert await provider.find(key) == charged
    assert await provider.refund(key, "r", other) in {
        RefundRefused("exceeds_charge"),
        RefundRefused("currency_mismatch"),
    }


async def test_what_was_cancelled_before_it_was_seen_is_never_charged(provider: PaymentProvider, key: str) -> None:
    cancelled = await provider.cancel(key)

    assert isinstance(cancelled, Cancelled)
    assert await provider.charge(key, AMOUNT, "tok_ok", key) == cancelled
    assert await provider.find(key) == cancelled
    assert await provider.cancel(key) == cancelled
    assert await provider.refund(key, "r", AMOUNT) == RefundRefused("not_charged")


async def test_cancelling_comes_too_late_for_what_is_charged(provider: PaymentProvider, key: str) -> None:
    charged = await provider.charge(key, AMOUNT, "tok_ok", key)

    assert await provider.cancel(key) == charged
    assert await provider.find(key) == charged


async def test_cancelling_what_is_declined_changes_nothing(provider: PaymentProvider, key: str) -> None:
    await provider.charge(key, AMOUNT, "tok_declined", key)

    assert await provider.cancel(key) == Declined("card_declined")


async def test_a_slow_charge_that_is_cancelled_is_not_charged(provider: PaymentProvider, key: str) -> None:
    charge = asyncio.create_task(provider.charge(key, AMOUNT, "tok_slow_600", key))
    await eventually(lambda: provider.find(key), lambda found: found is not None)

    cancelled = await provider.cancel(key)

    assert isinstance(cancelled, Cancelled)
    assert await charge == cancelled
    assert await provider.find(key) == cancelled


async def test_a_pending_charge_that_is_cancelled_is_not_charged(provider: PaymentProvider, key: str) -> None:
    pending = await provider.charge(key, AMOUNT, "tok_webhook", key)
    assert isinstance(pending, Pending)

    cancelled = await provider.cancel(key)

    assert cancelled == Cancelled(pending.reference)
    # Another payment that is due later marks the time at which this one would have been charged.
    later = f"{key}-later"
    await provider.charge(later, AMOUNT, "tok_webhook", later)
    await eventually(lambda: provider.find(later), lambda found: isinstance(found, Charged))
    assert await provider.find(key) == cancelled


async def test_what_failed_first_can_be_cancelled(provider: PaymentProvider, key: str) -> None:
    with pytest.raises(ProviderUnreachable):
        await provider.charge(key, AMOUNT, "tok_error_then_ok", key)

    cancelled = await provider.cancel(key)

    assert isinstance(cancelled, Cancelled)
    assert await provider.charge(key, AMOUNT, "tok_error_then_ok", key) == cancelled


async def test_charge_and_cancel_at_once_agree(provider: PaymentProvider) -> None:
    for _ in range(10):
        key = str(uuid4())

        charged, cancelled = await asyncio.gather(provider.charge(key, AMOUNT, "tok_ok", key), provider.cancel(key))

        assert charged == cancelled
        assert isinstance(charged, Charged | Cancelled)


async def test_a_refund_is_made_once_by_its_key(provider: PaymentProvider, key: str) -> None:
    await provider.charge(key, AMOUNT, "tok_ok", key)

    refunds = await asyncio.gather(*(provider.refund(key, "r1", Money(1000, "GBP")) for _ in range(5)))

    assert len(set(refunds)) == 1
    assert isinstance(refunds[0], Refunded)
    assert isinstance(await provider.refund(key, "r2", Money(999, "GBP")), Refunded)
    assert await provider.refund(key, "r3", Money(1, "GBP")) == RefundRefused("exceeds_charge")
    assert await provider.refund(key, "r1", Money(1000, "GBP")) == refunds[0]


async def test_refunds_at_once_never_exceed_the_charge(provider: PaymentProvider, key: str) -> None:
    await provider.charge(key, AMOUNT, "tok_ok", key)

    refunds = await asyncio.gather(*(provider.refund(key, f"r{n}", Money(700, "GBP")) for n in range(6)))

    assert sum(isinstance(refund, Refunded) for refund in refunds) == 2
    assert refunds.count(RefundRefused("exceeds_charge")) == 4


async def test_a_refund_key_used_with_another_amount_is_refused(provider: PaymentProvider, key: str) -> None:
    await provider.charge(key, AMOUNT, "tok_ok", key)
    await provider.refund(key, "r", Money(500, "GBP"))

    with pytest.raises(PaymentKeyReused):
        await provider.refund(key, "r", Money(501, "GBP"))

    assert isinstance(await provider.refund(key, "rest", Money(1499, "GBP")), Refunded)


async def test_a_refusal_is_not_remembered(provider: PaymentProvider, key: str) -> None:
    assert await provider.refund(key, "r", AMOUNT) == RefundRefused("not_charged")

    await provider.charge(key, AMOUNT, "tok_ok", key)

    assert isinstance(await provider.refund(key, "r", AMOUNT), Refunded)


async def test_what_is_declined_or_under_way_is_not_refunded(provider: PaymentProvider, key: str) -> None:
    await provider.charge(key, AMOUNT, "tok_declined", key)
    await provider.charge(f"{key}-w", AMOUNT, "tok_webhook", key)

    assert await provider.refund(key, "r", AMOUNT) == RefundRefused("not_charged")
    assert await provider.refund(f"{key}-w", "r", AMOUNT) == RefundRefused("not_charged")


async def test_nothing_is_charged_for_nothing(provider: PaymentProvider, key: str) -> None:
    assert isinstance(await provider.charge(key, Money(0, "GBP"), "tok_ok", key), Charged)
    assert await provider.refund(key, "r", Money(1, "GBP")) == RefundRefused("exceeds_charge")
