from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from commandside.payments.guarded import GuardedProvider
from commandside.payments.http_provider import HttpPaymentProvider
from commandside.payments.port import PaymentProvider
from counterfoil.simulation.books import Books
from counterfoil.simulation.dice import Part, dice_of
from counterfoil.simulation.faults import Adversity
from counterfoil.simulation.log import SimulatedLog
from counterfoil.simulation.loop import VirtualLoop
from counterfoil.simulation.provider import ProviderConnection
from counterfoil.simulation.world import World
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


@pytest.fixture(params=["memory", "guarded", "simulated", "process"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[PaymentProvider]:
    if request.param == "memory":
        yield FakePaymentProvider(timeout_seconds=TIMEOUT_SECONDS)
    elif request.param == "guarded":
        yield GuardedProvider(FakePaymentProvider(timeout_seconds=TIMEOUT_SECONDS))
    elif request.param == "simulated":
        yield simulated_provider()
    else:
        process: ProviderProcess = request.getfixturevalue("shared_process")
        async with HttpPaymentProvider(process.url, timeout_seconds=TIMEOUT_SECONDS) as over_http:
            yield over_http


def simulated_provider() -> ProviderConnection:
    """That of the simulation, with nothing going wrong, in the time of the clock on the wall."""
    loop = cast(VirtualLoop, asyncio.get_running_loop())
    world = World(loop, SimulatedLog(), Adversity(()), dice_of(1, Part.WAYS))
    books = Books(world, tell=lambda event: None)
    return ProviderConnection(world, books, 0, crash=lambda: None, timeout_seconds=TIMEOUT_SECONDS)
