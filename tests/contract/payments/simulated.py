from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

import pytest

from commandside.payments.webhook import WebhookEvent
from counterfoil.simulation.books import Books
from counterfoil.simulation.dice import Part, dice_of
from counterfoil.simulation.faults import Adversity
from counterfoil.simulation.log import SimulatedLog
from counterfoil.simulation.loop import VirtualLoop
from counterfoil.simulation.provider import ProviderConnection
from counterfoil.simulation.world import World
from tests.contract.payments.tokens import REASONS, TIMEOUT_SECONDS, TOKENS
from tests.contract.payments.under_test import Backend, UnderTest


@asynccontextmanager
async def in_the_simulation(request: pytest.FixtureRequest) -> AsyncIterator[UnderTest]:
    """That of the simulation, with nothing going wrong, in the time of the clock on the wall."""
    events: list[WebhookEvent] = []

    async def told() -> list[WebhookEvent]:
        return events

    loop = cast(VirtualLoop, asyncio.get_running_loop())
    world = World(loop, SimulatedLog(), Adversity(()), dice_of(1, Part.WAYS))
    books = Books(world, tell=events.append)
    provider = ProviderConnection(world, books, 0, crash=lambda: None, timeout_seconds=TIMEOUT_SECONDS)
    yield UnderTest(SIMULATED, provider, told)


SIMULATED: Final = Backend("simulated", in_the_simulation, TOKENS, REASONS, lacks={})
