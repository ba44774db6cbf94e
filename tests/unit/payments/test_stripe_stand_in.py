"""The server that stands in for Stripe is held to what the library's types say of Stripe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import stripe
from stripe import params

from commandside.payments.stripe_connection import API_VERSION
from tests.fakes.stripe import objects
from tests.fakes.stripe.objects import Json
from tests.fakes.stripe.server import API_KEY, StripeServer

INTENT = objects.payment_intent(1999, "gbp", {}, 0)
FAILED_REFUND = objects.refund(INTENT, 1999, {}, 0, "failed")


@pytest.fixture
def stand_in() -> Iterator[StripeServer]:
    with StripeServer() as server:
        yield server


@pytest.fixture
async def client(stand_in: StripeServer) -> AsyncIterator[stripe.StripeClient]:
    """The library as it comes, not as our adapter bounds it."""
    http = stripe.AIOHTTPClient()
    yield stripe.StripeClient(
        API_KEY, stripe_version=API_VERSION, base_addresses={"api": stand_in.url}, http_client=http
    )
    await http.close_async()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("about", "kind"),
    [(INTENT, stripe.PaymentIntent), (FAILED_REFUND, stripe.Refund), (objects.event("x", {}, 0), stripe.Event)],
)
def test_its_objects_have_no_field_that_stripes_have_not(about: Json, kind: type[stripe.StripeObject]) -> None:
    assert about.keys() <= kind.__annotations__.keys()


def test_the_version_that_is_pinned_is_the_one_whose_types_the_library_has() -> None:
    assert API_VERSION == objects.API_VERSION == stripe.api_version


async def test_the_library_itself_takes_its_answers(client: stripe.StripeClient) -> None:
    made = await client.v1.payment_intents.create_async(
        {"amount": 1999, "currency": "gbp", "capture_method": "manual", "allowed_payment_method_types": ["card"]}
    )
    confirmed = await client.v1.payment_intents.confirm_async(made.id, {"payment_method": "pm_card_visa"})
    captured = await client.v1.payment_intents.capture_async(made.id, {"amount_to_capture": 1500})
    await client.v1.refunds.create_async({"payment_intent": made.id, "amount": 500})
    refunds = await client.v1.refunds.list_async({"payment_intent": made.id})

    assert (made.status, confirmed.status, captured.status) == (
        "requires_payment_method",
        "requires_capture",
        "succeeded",
    )
    assert captured.amount_received == 1500
    assert [refund.amount for refund in refunds.data] == [500]


async def test_what_the_pinned_version_does_not_take_is_refused(client: stripe.StripeClient) -> None:
    old: Any = {"amount": 1999, "currency": "gbp", "payment_method_types": ["card"]}

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.create_async(old)

    assert refused.value.code == "payment_method_types_no_longer_supported"


async def test_a_key_with_other_parameters_is_the_librarys_idempotency_error(client: stripe.StripeClient) -> None:
    given: params.PaymentIntentCreateParams = {"amount": 1999, "currency": "gbp"}
    first = await client.v1.payment_intents.create_async(given, {"idempotency_key": "k"})
    again = await client.v1.payment_intents.create_async(given, {"idempotency_key": "k"})

    assert again.id == first.id
    assert first.last_response is not None and again.last_response is not None
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.payment_intents.create_async({**given, "amount": 2000}, {"idempotency_key": "k"})


async def test_a_decline_is_the_librarys_card_error_and_is_repeated(client: stripe.StripeClient) -> None:
    made = await client.v1.payment_intents.create_async({"amount": 1999, "currency": "gbp"})
    confirm: params.PaymentIntentConfirmParams = {"payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds"}

    for replayed in (None, "true"):
        with pytest.raises(stripe.CardError) as declined:
            await client.v1.payment_intents.confirm_async(made.id, confirm, {"idempotency_key": "k"})
        assert declined.value.code == "card_declined"
        assert declined.value.error is not None
        assert declined.value.error.decline_code == "insufficient_funds"
        assert declined.value.error.payment_intent is not None
        assert declined.value.error.payment_intent.status == "requires_payment_method"
        assert declined.value.headers is not None
        assert declined.value.headers.get("Idempotent-Replayed") == replayed


async def test_a_card_that_wants_its_owner_waits_for_them_unless_that_is_an_error(client: stripe.StripeClient) -> None:
    intents = client.v1.payment_intents
    one, other = [await intents.create_async({"amount": 1999, "currency": "gbp"}) for _ in range(2)]
    card = "pm_card_authenticationRequired"

    assert (await intents.confirm_async(one.id, {"payment_method": card})).status == "requires_action"
    with pytest.raises(stripe.CardError) as declined:
        await intents.confirm_async(other.id, {"payment_method": card, "error_on_requires_action": True})
    assert declined.value.code == "authentication_required"
