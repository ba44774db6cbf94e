from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import PaymentProvider
from tests.contract.payments.provider_process import ProviderProcess
from tests.contract.payments.webhook_receiver import WebhookReceiver
from tests.fakes.payments import FakePaymentProvider

TIMEOUT_SECONDS = 1.0


@pytest.fixture(scope="module")
def shared_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    """One for the tests of a module, which use keys of their own. Nobody takes its webhooks."""
    with ProviderProcess(tmp_path_factory.mktemp("provider")) as process:
        yield process


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


@pytest.fixture(params=["memory", "process"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[PaymentProvider]:
    if request.param == "memory":
        yield FakePaymentProvider(timeout_seconds=TIMEOUT_SECONDS)
    else:
        process: ProviderProcess = request.getfixturevalue("shared_process")
        async with HttpPaymentProvider(process.url, timeout_seconds=TIMEOUT_SECONDS) as over_http:
            yield over_http
