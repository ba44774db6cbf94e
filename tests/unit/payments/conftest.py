from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from commandside.payments.port import Payment
from commandside.payments.stripe_provider import StripePaymentProvider
from tests.fakes.stripe.server import API_KEY, StripeServer
from tests.unit.payments.stripe_payments import paid_by

TIMEOUT_SECONDS = 5.0
SHORT_TIMEOUT_SECONDS = 1.0


@pytest.fixture(scope="module")
def shared_server() -> Iterator[StripeServer]:
    with StripeServer() as server:
        yield server


@pytest.fixture
def server(shared_server: StripeServer) -> StripeServer:
    """For one test: what the tests before asked is not there."""
    shared_server.asked.clear()
    shared_server.troubles.clear()
    shared_server.books.refund_status = "succeeded"
    return shared_server


@pytest.fixture
async def provider(server: StripeServer) -> AsyncIterator[StripePaymentProvider]:
    async with StripePaymentProvider(API_KEY, api_base=server.url, timeout_seconds=TIMEOUT_SECONDS) as provider:
        yield provider


@pytest.fixture
async def impatient(server: StripeServer) -> AsyncIterator[StripePaymentProvider]:
    async with StripePaymentProvider(API_KEY, api_base=server.url, timeout_seconds=SHORT_TIMEOUT_SECONDS) as provider:
        yield provider


@pytest.fixture
def payment() -> Payment:
    return paid_by("pm_card_visa")
