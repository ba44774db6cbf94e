"""The providers that keep to the port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import pytest

from commandside.payments import stripe_webhook
from commandside.payments.guarded import GuardedProvider
from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.stripe_provider import StripePaymentProvider
from commandside.payments.webhook import WebhookEvent, verify
from tests.contract.payments.provider_process import WEBHOOK_SECRET, ProviderProcess
from tests.contract.payments.simulated import SIMULATED
from tests.contract.payments.tokens import (
    REASONS,
    STRIPE_LACKS,
    STRIPE_TIMEOUT_SECONDS,
    STRIPE_TOKENS,
    TIMEOUT_SECONDS,
    TOKENS,
)
from tests.contract.payments.under_test import Backend, UnderTest
from tests.contract.payments.webhook_receiver import WebhookReceiver
from tests.fakes.payments import FakePaymentProvider
from tests.fakes.stripe.server import API_KEY as STRIPE_API_KEY
from tests.fakes.stripe.server import WEBHOOK_SECRET as STRIPE_WEBHOOK_SECRET
from tests.fakes.stripe.server import StripeServer

# All that was told since the first test of a file is read again and again.
TOLD_TOLERANCE_SECONDS: Final = 3_600


@asynccontextmanager
async def in_memory(request: pytest.FixtureRequest) -> AsyncIterator[UnderTest]:
    provider = FakePaymentProvider(timeout_seconds=TIMEOUT_SECONDS)
    events: list[WebhookEvent] = []

    async def told() -> list[WebhookEvent]:
        events.extend(provider.take_events())
        return events

    yield UnderTest(MEMORY, provider, told)


@asynccontextmanager
async def guarded(request: pytest.FixtureRequest) -> AsyncIterator[UnderTest]:
    async with in_memory(request) as behind:
        yield UnderTest(GUARDED, GuardedProvider(behind.provider), behind.told)


@asynccontextmanager
async def over_http(request: pytest.FixtureRequest) -> AsyncIterator[UnderTest]:
    process: ProviderProcess = request.getfixturevalue("shared_process")
    receiver: WebhookReceiver = request.getfixturevalue("shared_receiver")

    async def told() -> list[WebhookEvent]:
        now = datetime.now(UTC)
        return [
            verify(one.body, one.signature, WEBHOOK_SECRET, now, TOLD_TOLERANCE_SECONDS) for one in receiver.received
        ]

    async with HttpPaymentProvider(process.url, timeout_seconds=TIMEOUT_SECONDS) as provider:
        yield UnderTest(PROCESS, provider, told)


@asynccontextmanager
async def at_stripe(request: pytest.FixtureRequest) -> AsyncIterator[UnderTest]:
    server: StripeServer = request.getfixturevalue("shared_stripe")

    async def told() -> list[WebhookEvent]:
        now = datetime.now(UTC)
        sent = [server.webhook(event) for event in list(server.books.events)]
        read = [stripe_webhook.read(body, header, STRIPE_WEBHOOK_SECRET, now) for body, header in sent]
        return [event for event in read if event is not None]

    async with StripePaymentProvider(
        STRIPE_API_KEY, api_base=server.url, timeout_seconds=STRIPE_TIMEOUT_SECONDS
    ) as provider:
        yield UnderTest(STRIPE, provider, told)


MEMORY: Final = Backend("memory", in_memory, TOKENS, REASONS, lacks={})
GUARDED: Final = Backend("guarded", guarded, TOKENS, REASONS, lacks={})
PROCESS: Final = Backend("process", over_http, TOKENS, REASONS, lacks={})
STRIPE: Final = Backend("stripe", at_stripe, STRIPE_TOKENS, REASONS, STRIPE_LACKS)

BACKENDS: Final = (MEMORY, GUARDED, SIMULATED, PROCESS, STRIPE)
