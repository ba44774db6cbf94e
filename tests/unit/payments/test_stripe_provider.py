"""The adapter against a locally served Stripe of ours (tests/fakes/stripe): holding money, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from commandside.payments.port import (
    Authorised,
    Cancelled,
    Captured,
    CaptureRefused,
    Declined,
    Payment,
    PaymentKeyReused,
    Pending,
    Processing,
    ProviderUnreachable,
)
from commandside.payments.stripe_connection import API_VERSION
from commandside.payments.stripe_intent import KEY, ORDER_ID
from commandside.payments.stripe_provider import StripePaymentProvider
from domain.values import Money
from tests.fakes.stripe.server import StripeServer
from tests.fixtures.ports import free_port
from tests.payments import AMOUNT
from tests.unit.payments.stripe_payments import captured, confirming, gbp, held_or_taken, paid_by
from tests.waiting import eventually


class TestWhatIsAsked:
    async def test_a_payment_is_made_and_then_confirmed(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        authorised = await provider.authorise(payment)

        assert isinstance(authorised, Authorised)
        create, confirm = server.asked
        assert (create.what, confirm.what) == ("create", "confirm")
        assert create.params == {
            "amount": "1999",
            "currency": "gbp",
            "capture_method": "manual",
            "allowed_payment_method_types": {"0": "card"},
            "metadata": {KEY: payment.key, ORDER_ID: payment.order_id},
        }
        assert confirm.params == {"payment_method": "pm_card_visa", "error_on_requires_action": "true"}
        assert create.headers["idempotency-key"] == f"{payment.key}/create/1"
        assert confirm.headers["idempotency-key"] == f"{authorised.reference}/confirm/1"
        assert create.headers["stripe-version"] == API_VERSION

    async def test_nothing_is_told_of_the_machine(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        for _ in range(2):
            await provider.find(payment)

        for asked in server.asked:
            assert "x-stripe-client-telemetry" not in asked.headers
            assert "telemetry_id" not in asked.headers["x-stripe-client-user-agent"]
            assert "platform" not in asked.headers["x-stripe-client-user-agent"]

    async def test_a_proxy_of_the_environment_is_not_used(
        self, provider: StripePaymentProvider, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
        monkeypatch.delenv("NO_PROXY", raising=False)

        assert isinstance(await provider.authorise(payment), Authorised)

    @pytest.mark.parametrize("token", ["4242424242424242", "tok_ok", "pm_1/../../v1/charges", "pm_", "", "src_1"])
    async def test_what_is_no_id_of_stripes_is_declined_and_never_sent(
        self, provider: StripePaymentProvider, server: StripeServer, token: str
    ) -> None:
        payment = paid_by(token)

        assert await provider.authorise(payment) == Declined("unknown_token")

        assert server.count("confirm") == 0
        assert token == "" or token not in str([asked.params for asked in server.asked])
        assert await provider.authorise(replace(payment, token="pm_card_visa")) == Declined("unknown_token")
        assert await provider.find(payment) == Declined("unknown_token")

    async def test_a_confirmation_token_is_taken_too(
        self, provider: StripePaymentProvider, server: StripeServer
    ) -> None:
        assert isinstance(await provider.authorise(paid_by("ctoken_visa")), Authorised)

        assert server.asked[-1].params["confirmation_token"] == "ctoken_visa"


class TestOutcomes:
    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ("pm_card_visa_chargeDeclined", "card_declined"),
            ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
            ("pm_card_visa_chargeDeclinedLostCard", "card_declined"),
            ("pm_card_visa_chargeDeclinedFraudulent", "card_declined"),
            ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
            ("pm_card_chargeDeclinedProcessingError", "processing_error"),
            ("pm_card_authenticationRequired", "authentication_required"),
            ("pm_nobody_has_this", "unknown_token"),
            ("pm_ours_used_before", "unknown_token"),
        ],
    )
    async def test_a_decline_is_final(
        self, provider: StripePaymentProvider, server: StripeServer, token: str, reason: str
    ) -> None:
        payment = paid_by(token)

        assert await provider.authorise(payment) == Declined(reason)

        another_card = replace(payment, token="pm_card_visa")
        assert await provider.authorise(another_card) == Declined(reason)
        assert await provider.find(payment) == Declined(reason)
        assert await provider.cancel(payment) == Declined(reason)
        assert await provider.capture(payment, AMOUNT) == CaptureRefused("not_authorised")
        server.forget_keys()
        assert held_or_taken(server, payment) == []

    async def test_a_card_that_wants_its_owner_is_turned_down_also_where_stripe_waits_for_them(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        assert await provider.find(payment) is None
        (reference,) = [each["id"] for each in server.books.intents.values() if each["metadata"][KEY] == payment.key]
        server.books.intents[reference]["status"] = "requires_action"

        assert await provider.find(payment) == Declined("authentication_required")

        assert server.books.intents[reference]["status"] == "canceled"

    async def test_a_payment_that_is_being_confirmed_is_not_confirmed_twice(
        self, provider: StripePaymentProvider, server: StripeServer
    ) -> None:
        payment = paid_by("pm_ours_slow_2500")
        first = asyncio.create_task(provider.authorise(payment))
        await confirming(server)

        second = await provider.authorise(payment)

        assert isinstance(second, Processing)
        assert await first == Authorised(second.reference)
        assert await provider.authorise(payment) == Authorised(second.reference)

    async def test_what_stripe_decides_later_is_pending_until_then(self, provider: StripePaymentProvider) -> None:
        payment = paid_by("pm_ours_later")

        pending = await provider.authorise(payment)

        assert isinstance(pending, Pending)
        assert await provider.capture(payment, AMOUNT) == CaptureRefused("under_way")
        found = await eventually(lambda: provider.find(payment), lambda found: found != pending)
        assert found == Authorised(pending.reference)

    async def test_a_hold_that_ran_out_cannot_be_captured(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        authorised = await provider.authorise(payment)
        assert isinstance(authorised, Authorised)
        server.books.expire(authorised.reference)

        assert await provider.find(payment) == Cancelled(authorised.reference)
        assert await provider.capture(payment, AMOUNT) == CaptureRefused("not_authorised")


class TestKeys:
    async def test_many_at_once_hold_once(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        outcomes = await asyncio.gather(*(provider.authorise(payment) for _ in range(20)))

        assert {type(outcome) for outcome in outcomes} <= {Authorised, Processing}
        assert held_or_taken(server, payment) == ["requires_capture"]

    @pytest.mark.parametrize("other", [gbp(2000), Money(1999, "EUR")])
    async def test_a_key_with_another_amount_is_refused_with_and_without_the_reference(
        self, provider: StripePaymentProvider, payment: Payment, other: Money
    ) -> None:
        authorised = await provider.authorise(payment)
        assert isinstance(authorised, Authorised)

        with pytest.raises(PaymentKeyReused):
            await provider.authorise(replace(payment, amount=other))
        with pytest.raises(PaymentKeyReused):
            await provider.authorise(replace(payment, amount=other, reference=authorised.reference))

        assert await provider.find(payment) == authorised

    async def test_the_reference_of_another_payment_is_not_taken_for_ones_own(
        self, provider: StripePaymentProvider, payment: Payment
    ) -> None:
        known = await captured(provider, payment)

        with pytest.raises(PaymentKeyReused):
            await provider.refund(replace(known, key="another"), "r", AMOUNT)

    async def test_a_failure_that_stripe_remembers_is_left_behind(
        self, provider: StripePaymentProvider, server: StripeServer
    ) -> None:
        payment = paid_by("pm_ours_error_then_ok")
        with pytest.raises(ProviderUnreachable):
            await provider.authorise(payment)
        assert await provider.find(payment) is None

        authorised = await provider.authorise(payment)

        assert isinstance(authorised, Authorised)
        confirms = [asked.headers["idempotency-key"] for asked in server.asked if asked.what == "confirm"]
        assert confirms == [f"{authorised.reference}/confirm/{n}" for n in (1, 1, 2)]

    async def test_what_was_cancelled_before_it_was_seen_is_never_held(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        cancelled = await provider.cancel(payment)

        assert isinstance(cancelled, Cancelled)
        assert await provider.authorise(payment) == cancelled
        assert await provider.cancel(payment) == cancelled
        assert server.count("confirm") == 0

    async def test_what_is_cancelled_while_it_is_confirmed_is_let_go_afterwards(
        self, provider: StripePaymentProvider, server: StripeServer
    ) -> None:
        payment = paid_by("pm_ours_slow_300")
        authorising = asyncio.create_task(provider.authorise(payment))
        await confirming(server)

        cancelled = await provider.cancel(payment)

        assert cancelled == Cancelled(held.reference if isinstance(held := await authorising, Authorised) else "")
        assert held_or_taken(server, payment) == []

    async def test_an_old_answer_is_not_taken_for_the_state_of_now(
        self, provider: StripePaymentProvider, payment: Payment
    ) -> None:
        authorised = await provider.authorise(payment)
        cancelled = await provider.cancel(payment)

        assert isinstance(authorised, Authorised)
        assert await provider.authorise(payment) == cancelled == Cancelled(authorised.reference)

    async def test_after_a_day_what_nobody_knows_of_is_held_again_and_captured_once(
        self, provider: StripePaymentProvider, server: StripeServer, payment: Payment
    ) -> None:
        await provider.authorise(payment)
        server.forget_keys()

        known = await captured(provider, payment)

        assert sorted(held_or_taken(server, payment)) == ["requires_capture", "succeeded"]
        server.forget_keys()
        assert await provider.capture(known, AMOUNT) == Captured(str(known.reference), AMOUNT)
        assert held_or_taken(server, payment).count("succeeded") == 1
