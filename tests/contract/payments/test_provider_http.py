"""The built-in provider's HTTP: its pages, and nothing sent to it breaks it."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import httpx
import pytest

from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import (
    Authorised,
    PaymentRefused,
)
from domain.values import TOTAL_LIMIT_MINOR, Money
from tests.contract.payments.provider_process import ProviderProcess
from tests.contract.payments.suite import while_pending
from tests.payments import a_payment

PART = Money(1200, "GBP")
TOKENS_THAT_ARE_GOOD = [
    "tok_ok",
    "tok_slow_50",
    "tok_timeout",
    "tok_error_then_ok",
    "tok_capture_timeout",
    "tok_capture_error_then_ok",
]


async def test_the_payments_are_listed_page_by_page(process: ProviderProcess) -> None:
    payments = [a_payment(f"k{number}", amount=Money(number, "GBP"), order_id=f"o{number}") for number in range(5)]
    async with HttpPaymentProvider(process.url) as provider:
        for payment in payments:
            await provider.authorise(payment)
        await provider.cancel(a_payment("gone"))
        await provider.capture(payments[4], Money(3, "GBP"))
        await provider.refund(payments[4], "r", Money(2, "GBP"))

    listed: list[dict[str, Any]] = []
    after: int | None = 0
    pages_count = 0
    while after is not None:
        page = process.get(f"/v1/payments?limit=2&after={after}").json()
        listed += page["payments"]
        after = page["next_after"]
        pages_count += 1

    assert pages_count == 3
    assert [payment["key"] for payment in listed] == ["k0", "k1", "k2", "k3", "k4", "gone"]
    assert [payment["status"] for payment in listed] == ["authorised"] * 4 + ["captured", "cancelled"]
    assert (listed[3]["captured_amount"], listed[3]["refunded_amount"]) == (0, 0)
    assert (listed[4]["captured_amount"], listed[4]["refunded_amount"]) == (3, 2)
    assert (listed[5]["order_id"], listed[5]["amount"]) == (None, None)


GOOD = {"order_id": "o", "amount": {"amount": 1, "currency": "GBP"}, "token": "tok_ok"}


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, json.dumps(GOOD), 400),
        ({"Idempotency-Key": ""}, json.dumps(GOOD), 422),
        ({"Idempotency-Key": "a b"}, json.dumps(GOOD), 422),
        ({"Idempotency-Key": "k" * 201}, json.dumps(GOOD), 422),
        ({"Idempotency-Key": "k"}, "", 400),
        ({"Idempotency-Key": "k"}, "{", 400),
        ({"Idempotency-Key": "k"}, b"\xff\xfe", 400),
        ({"Idempotency-Key": "k"}, b'{"token": "\xff"}', 400),
        ({"Idempotency-Key": "k"}, "[]", 422),
        ({"Idempotency-Key": "k"}, "[" * 10_000, 422),
        ({"Idempotency-Key": "k"}, json.dumps(GOOD)[:-1] + ', "x": ' + "[" * 10_000, 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "extra": 1}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "token": 7}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": -1, "currency": "GBP"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": 10**30, "currency": "GBP"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": 1.5, "currency": "GBP"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "amount": {"amount": 1, "currency": "pounds"}}), 422),
        ({"Idempotency-Key": "k"}, json.dumps({**GOOD, "token": "x" * 100_000}), 413),
    ],
)
def test_a_bad_payment_is_refused_and_writes_nothing(
    shared_process: ProviderProcess, headers: dict[str, str], body: str | bytes, status: int
) -> None:
    before = shared_process.books()

    answer = httpx.post(f"{shared_process.url}/v1/payments", headers=headers, content=body, trust_env=False)

    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert shared_process.books() == before


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        ("a%20b", json.dumps({"amount": GOOD["amount"]}), 422),
        ("k", "", 400),
        ("k", "{}", 422),
        ("k", "[]", 422),
        ("k", json.dumps({"amount": GOOD["amount"], "extra": 1}), 422),
        ("k", json.dumps({"amount": {"amount": -1, "currency": "GBP"}}), 422),
        ("k", json.dumps({"amount": {"amount": 10**30, "currency": "GBP"}}), 422),
        ("k", json.dumps({"amount": {"amount": 1, "currency": "pounds"}}), 422),
    ],
)
def test_a_bad_capture_is_refused_and_writes_nothing(
    shared_process: ProviderProcess, key: str, body: str, status: int
) -> None:
    before = shared_process.books()

    answer = httpx.post(f"{shared_process.url}/v1/payments/{key}/capture", content=body, trust_env=False)

    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert shared_process.books() == before


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (Money(1998, "GBP"), None),
        (Money(1999, "GBP"), None),
        (Money(0, "GBP"), "nothing_to_capture"),
        (Money(2000, "GBP"), "exceeds_authorisation"),
        (Money(1999, "EUR"), "currency_mismatch"),
    ],
)
def test_why_a_capture_is_refused(shared_process: ProviderProcess, amount: Money, reason: str | None) -> None:
    key = f"capture-{amount.amount}-{amount.currency}"
    money = {"amount": amount.amount, "currency": amount.currency}
    shared_process.post("/v1/payments", {**GOOD, "amount": {"amount": 1999, "currency": "GBP"}}, key=key)

    answer = shared_process.post(f"/v1/payments/{key}/capture", {"amount": money})

    assert answer.status_code == 200
    reference = shared_process.get(f"/v1/payments/{key}").json()["reference"]
    taken = {"status": "captured", "reference": reference, "amount": money}
    assert answer.json() == (taken if reason is None else {"status": "refused", "reason": reason})


async def test_a_capture_of_what_is_under_way_is_refused_for_now(shared_process: ProviderProcess) -> None:
    keys = (f"capture-pending-{number}" for number in count())

    async def attempt() -> httpx.Response:
        key = next(keys)
        shared_process.post("/v1/payments", {**GOOD, "token": "tok_webhook"}, key=key)
        return shared_process.post(f"/v1/payments/{key}/capture", {"amount": GOOD["amount"]})

    answer = await while_pending(attempt)

    assert answer.json() == {"status": "refused", "reason": "under_way"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/payments/nobody", 404),
        ("/v1/payments/a%20b", 422),
        ("/v1/payments?limit=0", 422),
        ("/v1/payments?limit=1001", 422),
        ("/v1/payments?limit=ten", 422),
        ("/v1/payments?after=-1", 422),
        ("/v1/payments?after=99999999999999999999", 422),
        ("/v1/payments?limit=1000&after=0", 200),
        ("/healthz", 200),
        ("/readyz", 200),
    ],
)
def test_reading(shared_process: ProviderProcess, path: str, status: int) -> None:
    assert shared_process.get(path).status_code == status


async def test_what_the_adapter_may_not_send_is_told_apart_from_an_outage(shared_process: ProviderProcess) -> None:
    negative, dear = a_payment("k-negative", amount=Money(-1, "GBP")), Money(TOTAL_LIMIT_MINOR + 1, "GBP")
    async with HttpPaymentProvider(shared_process.url) as provider:
        for payment in (a_payment("not a key"), negative, a_payment("k-dear", amount=dear)):
            with pytest.raises(PaymentRefused, match="422"):
                await provider.authorise(payment)
        just = a_payment("k-just", amount=Money(TOTAL_LIMIT_MINOR, "GBP"))
        assert isinstance(await provider.authorise(just), Authorised)
        assert await provider.find(negative) is None
