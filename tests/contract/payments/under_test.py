"""What the suite of `test_provider_contract.py` needs of a provider to put it to the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from uuid import uuid4

import pytest

from commandside.payments.port import Payment, PaymentProvider
from commandside.payments.webhook import WebhookEvent
from domain.values import Money
from tests.payments import AMOUNT


class Way(Enum):
    """How a payment goes, which its token decides."""

    GOOD = "authorised at once"
    DECLINED = "declined by the card"
    NO_FUNDS = "declined for lack of funds"
    UNKNOWN = "declined, because nobody knows the token"
    UNANSWERED = "authorised, and that request is never answered"
    SLOW = "processing for some tenths of a second, then authorised and answered"
    TOO_SLOW = "processing for longer than its caller waits, then authorised"
    FAILS_FIRST = "the first attempt fails and changes nothing, the next one is authorised"
    LATER = "pending, and authorised later"
    LATER_DECLINED = "pending, and declined later"
    CAPTURE_UNANSWERED = "captured, and that request is never answered"
    CAPTURE_FAILS_FIRST = "the first capture fails and changes nothing, the next one takes the money"
    CAPTURE_REFUSED = "authorised, and let go by the provider before it is captured"


async def by_itself(payment: Payment) -> None:
    """What is under way comes to its end without anybody's doing."""


@dataclass(frozen=True)
class UnderTest:
    """A running provider. Whoever makes it sees to it that a call gives up after about two seconds.

    `finish` has what is under way come to its end, soon; `told` is what was told by webhook so far.
    """

    backend: Backend
    provider: PaymentProvider
    told: Callable[[], Awaitable[list[WebhookEvent]]]
    finish: Callable[[Payment], Awaitable[None]] = by_itself

    def payment(self, way: Way = Way.GOOD, amount: Money = AMOUNT) -> Payment:
        """A new one, under a key of its own."""
        key = str(uuid4())
        return Payment(key, amount, self.backend.tokens[way], key)

    async def told_of(self, payment: Payment) -> list[WebhookEvent]:
        return [event for event in await self.told() if event.key == payment.key]


@dataclass(frozen=True)
class Backend:
    """A provider that the suite is run against, each test that it has the ways for.

    `reasons` are its codes for the ways that are declined. `lacks` says of each way that its world does not have, why:
    every way is in `tokens` or there.
    """

    name: str
    open: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[UnderTest]]
    tokens: Mapping[Way, str]
    reasons: Mapping[Way, str]
    lacks: Mapping[Way, str]
