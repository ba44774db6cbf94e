from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe

from commandside.payments.stripe_intent import DECLINED, KEY, ORDER_ID
from commandside.payments.stripe_webhook import read
from commandside.payments.webhook import BadSignature, BadWebhook, WebhookEvent
from domain.values import Money
from tests.fakes.stripe.objects import Json, event, payment_intent

SECRET = "whsec_that_only_tests_know"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
OURS = {KEY: "a-key", ORDER_ID: "an-order"}
DECLINE = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "No."}


def intent(currency: str = "gbp", metadata: dict[str, str] = OURS, **given: Any) -> Json:
    return {**payment_intent(1999, currency, dict(metadata), AT - 2), "id": "pi_1", **given}


def told(kind: str, about: Json, **given: Any) -> Json:
    return {**event(kind, about, AT - 1), "id": "evt_1", **given}


def signed(content: Json | bytes, secret: str = SECRET, at: int = AT) -> tuple[bytes, str]:
    body = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return body, header


def read_of(content: Json) -> WebhookEvent | None:
    body, header = signed(content)
    return read(body, header, SECRET, NOW)


AUTHORISED = told("payment_intent.amount_capturable_updated", intent(status="requires_capture"))
CASES: list[tuple[Json, dict[str, Any]]] = [
    (AUTHORISED, {"type": "payment.authorised"}),
    (
        told("payment_intent.succeeded", intent(status="succeeded", amount_received=1500)),
        {"type": "payment.captured", "captured": Money(1500, "GBP")},
    ),
    (
        told("payment_intent.payment_failed", intent(last_payment_error=DECLINE)),
        {"type": "payment.declined", "reason": "insufficient_funds"},
    ),
    (told("payment_intent.canceled", intent(status="canceled")), {"type": "payment.cancelled"}),
    (
        told("payment_intent.canceled", intent(status="canceled", metadata={**OURS, DECLINED: "unknown_token"})),
        {"type": "payment.declined", "reason": "unknown_token"},
    ),
]


@pytest.mark.parametrize(("content", "said"), CASES, ids=lambda value: value.get("type", ""))
def test_an_event_is_what_became_of_the_payment(content: Json, said: dict[str, Any]) -> None:
    assert read_of(content) == WebhookEvent(
        event_id="evt_1",
        key="a-key",
        order_id="an-order",
        reference="pi_1",
        amount=Money(1999, "GBP"),
        created_at=NOW - timedelta(seconds=1),
        **said,
    )


def test_amounts_are_counted_as_we_count_them() -> None:
    about = intent(status="succeeded", currency="isk", amount=50_000, amount_received=40_000)

    found = read_of(told("payment_intent.succeeded", about))

    assert found is not None
    assert (found.amount, found.captured) == (Money(500, "ISK"), Money(400, "ISK"))


@pytest.mark.parametrize(
    "content",
    [
        told("payment_intent.created", intent()),
        told("payment_intent.processing", intent(status="processing")),
        told("charge.refunded", {"id": "ch_1", "object": "charge"}),
        told("customer.created", {"id": "cus_1"}),
        {**AUTHORISED, "account": "acct_of_somebody_else"},
        told("payment_intent.succeeded", intent(status="succeeded", metadata={})),
        told("payment_intent.succeeded", intent(status="succeeded", metadata={"order_id": "of another shop"})),
    ],
)
def test_what_is_not_about_a_payment_of_ours_is_nothing(content: Json) -> None:
    assert read_of(content) is None


def test_what_another_endpoint_was_sent_is_refused() -> None:
    body, header = signed(AUTHORISED, secret="whsec_of_another_endpoint")

    with pytest.raises(BadSignature):
        read(body, header, SECRET, NOW)


@pytest.mark.parametrize("off_seconds", [-301, 301])
def test_what_was_signed_at_another_time_is_refused(off_seconds: int) -> None:
    body, header = signed(AUTHORISED, at=AT + off_seconds)

    with pytest.raises(BadSignature):
        read(body, header, SECRET, NOW)


def test_a_body_that_was_changed_is_refused() -> None:
    body, header = signed(AUTHORISED)

    with pytest.raises(BadSignature):
        read(body.replace(b"1999", b"1998"), header, SECRET, NOW)


@pytest.mark.parametrize("header", ["", "v1=abc", f"t={AT}", "t=soon,v1=abc", f"t={AT},v0={'0' * 64}", "x" * 5000])
def test_what_is_no_signature_is_refused(header: str) -> None:
    body, _ = signed(AUTHORISED)

    with pytest.raises(BadSignature):
        read(body, header, SECRET, NOW)


def test_one_signature_that_fits_is_enough_while_a_secret_is_rolled() -> None:
    body, header = signed(AUTHORISED)

    assert read(body, f"{header},v1={'0' * 64},v0={'1' * 64}", SECRET, NOW) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"no json",
        b"[]",
        b'{"id": "evt_1"}',
        json.dumps(told("payment_intent.succeeded", {"id": "pi_1"})).encode(),
        json.dumps(told("payment_intent.succeeded", intent(status="succeeded", currency="isk"))).encode(),
        json.dumps(told("payment_intent.canceled", intent(status="canceled", metadata={**OURS, KEY: ""}))).encode(),
    ],
)
def test_what_is_rightly_signed_and_no_event_is_refused(content: bytes) -> None:
    body, header = signed(content)

    with pytest.raises(BadWebhook):
        read(body, header, SECRET, NOW)
