"""Payments at the server that stands in for Stripe, and what it came to know of them."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from commandside.payments.port import (
    Authorised,
    Captured,
    Payment,
)
from commandside.payments.stripe_intent import KEY
from commandside.payments.stripe_provider import StripePaymentProvider
from domain.values import Money
from tests.fakes.stripe.server import StripeServer
from tests.payments import AMOUNT
from tests.waiting import eventually


def paid_by(token: str, amount: Money = AMOUNT) -> Payment:
    key = str(uuid4())
    return Payment(key, amount, token, key)


def gbp(amount: int) -> Money:
    return Money(amount, "GBP")


async def captured(provider: StripePaymentProvider, payment: Payment, amount: Money = AMOUNT) -> Payment:
    """This payment with its reference, taken."""
    authorised = await provider.authorise(payment)
    assert isinstance(authorised, Authorised)
    known = replace(payment, reference=authorised.reference)
    assert await provider.capture(known, amount) == Captured(authorised.reference, amount)
    return known


async def confirming(server: StripeServer) -> None:
    """Until a request to confirm has come."""

    async def count() -> int:
        return server.count("confirm")

    await eventually(count, lambda count: count > 0)


def held_or_taken(server: StripeServer, payment: Payment) -> list[str]:
    return [
        intent["status"]
        for intent in server.books.intents.values()
        if intent["metadata"][KEY] == payment.key and intent["status"] in {"requires_capture", "succeeded"}
    ]
