from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.payments.backends import BACKENDS
from tests.contract.payments.provider_process import ProviderProcess
from tests.contract.payments.under_test import Backend, UnderTest
from tests.contract.payments.webhook_receiver import WebhookReceiver
from tests.fakes.stripe.server import StripeServer


@pytest.fixture(scope="module")
def shared_process(
    tmp_path_factory: pytest.TempPathFactory, shared_receiver: WebhookReceiver
) -> Iterator[ProviderProcess]:
    """One for the tests of a module, which use keys of their own."""
    folder = tmp_path_factory.mktemp("provider")
    with ProviderProcess(folder, webhook_port=shared_receiver.port) as process:
        yield process


@pytest.fixture(scope="module")
def shared_receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        receiver.listen()
        yield receiver


@pytest.fixture(scope="module")
def shared_stripe() -> Iterator[StripeServer]:
    with StripeServer() as server:
        yield server


@pytest.fixture
def process(tmp_path: Path, receiver: WebhookReceiver) -> Iterator[ProviderProcess]:
    """One for a test that kills it; its webhooks go to `receiver`."""
    with ProviderProcess(tmp_path / "provider", webhook_port=receiver.port) as process:
        yield process


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Not listening until it is told to."""
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
async def under_test(request: pytest.FixtureRequest) -> AsyncIterator[UnderTest]:
    """Of each backend; `needs` in the suite leaves out those that lack something."""
    backend: Backend = request.param
    async with backend.open(request) as running:
        yield running
