"""The providers that keep to the port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import pytest

from commandside.payments.guarded import GuardedProvider
from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.webhook import WebhookEvent, verify
from tests.contract.payments.provider_process import WEBHOOK_SECRET, ProviderProcess
from tests.contract.payments.simulated import SIMULATED
from tests.contract.payments.tokens import REASONS, TIMEOUT_SECONDS, TOKENS
from tests.contract.payments.under_test import Backend, UnderTest
from tests.contract.payments.webhook_receiver import WebhookReceiver
from tests.fakes.payments import FakePaymentProvider


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
        return [verify(one.body, one.signature, WEBHOOK_SECRET, now) for one in receiver.received]

    async with HttpPaymentProvider(process.url, timeout_seconds=TIMEOUT_SECONDS) as provider:
        yield UnderTest(PROCESS, provider, told)


MEMORY: Final = Backend("memory", in_memory, TOKENS, REASONS, lacks={})
GUARDED: Final = Backend("guarded", guarded, TOKENS, REASONS, lacks={})
PROCESS: Final = Backend("process", over_http, TOKENS, REASONS, lacks={})

BACKENDS: Final = (MEMORY, GUARDED, SIMULATED, PROCESS)
