"""The adapter against a locally served Stripe of ours: what is held is taken, or given back, once."""

from __future__ import annotations

import asyncio

import pytest

from commandside.payments import stripe_refunds
from commandside.payments.port import (
    Cancelled,
    Captured,
    CaptureRefused,
    Payment,
    PaymentKeyReused,
    PaymentRefused,
    ProviderMisbehaved,
    Refunded,
    RefundRefused,
)
from commandside.payments.stripe_provider import StripePaymentProvider
from domain.values import Money
from tests.fakes.stripe.server import StripeServer
from tests.payments import AMOUNT
from tests.unit.payments.stripe_payments import captured, gbp, paid_by


class TestCapture:
    async def test_a_part_is_taken_and_the_rest_let_go(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        known = await captured(provider, payment, gbp(1500))

        assert await provider.find(known) == Captured(str(known.reference), gbp(1500))
        assert await provider.capture(known, gbp(499)) == Captured(str(known.reference), gbp(1500))
        assert await provider.cancel(known) == Captured(str(known.reference), gbp(1500))
        assert server.books.intents[str(known.reference)]["amount_capturable"] == 0

    async def test_captures_at_once_take_once(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        await provider.authorise(payment)

        outcomes = await asyncio.gather(*(provider.capture(payment, gbp(1000 + n)) for n in range(5)))

        assert len(set(outcomes)) == 1
        assert isinstance(outcomes[0], Captured)

    @pytest.mark.parametrize("amount", [gbp(2000), gbp(0), gbp(-1), Money(1999, "EUR")])
    async def test_what_was_not_authorised_is_not_taken(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment, amount: Money
    ) -> None:
        await provider.authorise(payment)

        assert isinstance(await provider.capture(payment, amount), CaptureRefused)

        assert server.count("capture") == 0

    async def test_what_was_never_seen_is_not_taken(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        assert await provider.capture(payment, AMOUNT) == CaptureRefused("not_authorised")

        assert server.count("capture") == 0


class TestRefund:
    async def test_parts_are_given_back_up_to_what_was_captured(
        self, provider: StripePaymentProvider, payment: Payment
    ) -> None:
        known = await captured(provider, payment, gbp(1500))

        first = await provider.refund(known, "r1", gbp(1000))

        assert isinstance(first, Refunded)
        assert await provider.refund(known, "r1", gbp(1000)) == first
        assert await provider.refund(known, "r2", gbp(501)) == RefundRefused("exceeds_capture")
        assert isinstance(await provider.refund(known, "r2", gbp(500)), Refunded)
        assert await provider.refund(known, "r3", gbp(1)) == RefundRefused("exceeds_capture")

    async def test_refunds_at_once_never_exceed_the_capture(
        self, provider: StripePaymentProvider, payment: Payment
    ) -> None:
        known = await captured(provider, payment)

        refunds = await asyncio.gather(*(provider.refund(known, f"r{n}", gbp(700)) for n in range(6)))

        assert sum(isinstance(refund, Refunded) for refund in refunds) == 2
        assert refunds.count(RefundRefused("exceeds_capture")) == 4

    async def test_the_same_refund_at_once_is_one(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        known = await captured(provider, payment)

        refunds = await asyncio.gather(*(provider.refund(known, "r1", gbp(700)) for _ in range(5)))

        assert len(set(refunds)) == 1
        assert len(server.books.refunds_of(str(known.reference))) == 1

    @pytest.mark.parametrize("after_a_day", [False, True])
    async def test_a_refund_key_with_another_amount_is_refused(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment, after_a_day: bool
    ) -> None:
        known = await captured(provider, payment)
        await provider.refund(known, "r", gbp(500))
        if after_a_day:
            server.forget_keys()

        with pytest.raises(PaymentKeyReused):
            await provider.refund(known, "r", gbp(501))

    async def test_a_refund_that_failed_may_be_tried_again(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        known = await captured(provider, payment)
        server.books.refund_status = "failed"
        assert await provider.refund(known, "r", AMOUNT) == RefundRefused("expired_or_canceled_card")

        server.books.refund_status = "pending"

        assert isinstance(await provider.refund(known, "r", AMOUNT), Refunded)

    async def test_what_is_not_captured_is_not_given_back(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        assert await provider.refund(payment, "r", AMOUNT) == RefundRefused("not_captured")
        await provider.authorise(payment)
        assert await provider.refund(payment, "r", AMOUNT) == RefundRefused("not_captured")

        assert server.count("refund") == 0

    async def test_old_refunds_are_looked_through_page_by_page(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = await captured(provider, payment)
        first = await provider.refund(known, "r0", gbp(1))
        for n in range(1, 6):
            await provider.refund(known, f"r{n}", gbp(1))
        monkeypatch.setattr(stripe_refunds, "PAGE_SIZE_COUNT", 2)
        server.forget_keys()

        assert await provider.refund(known, "r0", gbp(1)) == first

        monkeypatch.setattr(stripe_refunds, "PAGES_COUNT", 2)
        with pytest.raises(ProviderMisbehaved):
            await provider.refund(known, "r0", gbp(1))


class TestAmounts:
    async def test_a_currency_is_counted_as_stripe_counts_it(
        self, provider: StripePaymentProvider, server: StripeServer
    ) -> None:
        payment = paid_by("pm_card_visa", Money(500, "ISK"))

        known = await captured(provider, payment, Money(400, "ISK"))

        intent = server.books.intents[str(known.reference)]
        assert (intent["amount"], intent["amount_received"]) == (50_000, 40_000)
        assert isinstance(await provider.refund(known, "r", Money(400, "ISK")), Refunded)

    @pytest.mark.parametrize("amount", [gbp(0), gbp(29), gbp(100_000_000), Money(5124, "KWD")])
    async def test_what_stripe_does_not_take_is_refused_and_not_held(
        self, provider: StripePaymentProvider, amount: Money
    ) -> None:
        payment = paid_by("pm_card_visa", amount)

        with pytest.raises(PaymentRefused):
            await provider.authorise(payment)

        assert await provider.find(payment) is None
        assert await provider.cancel(payment) == Cancelled(payment.key)
        assert await provider.capture(payment, amount) == CaptureRefused("not_authorised")
        assert await provider.refund(payment, "r", amount) == RefundRefused("not_captured")

    async def test_a_part_that_would_be_rounded_is_not_taken_or_given_back(
        self, provider: StripePaymentProvider
    ) -> None:
        payment = paid_by("pm_card_visa", Money(5120, "KWD"))
        await provider.authorise(payment)

        assert await provider.capture(payment, Money(5111, "KWD")) == CaptureRefused("amount_not_representable")
        await provider.capture(payment, Money(5110, "KWD"))
        assert await provider.refund(payment, "r", Money(11, "KWD")) == RefundRefused("amount_not_representable")
