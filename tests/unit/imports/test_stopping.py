from __future__ import annotations

import asyncio
import os
import signal

import pytest

from counterfoil.imports.stopping import Stopping, asked_to_stop
from tests.waiting import eventually

PATIENCE_SECONDS = 5


async def known(stopping: Stopping) -> None:
    async def ask() -> bool:
        return stopping()

    await eventually(ask, bool)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_asked_once_it_is_known(number: signal.Signals) -> None:
    with asked_to_stop() as stopping:
        assert not stopping()
        os.kill(os.getpid(), number)
        await known(stopping)


async def test_asked_twice_it_ends_at_once() -> None:
    async def run() -> None:
        with asked_to_stop() as stopping:
            os.kill(os.getpid(), signal.SIGINT)
            await known(stopping)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(PATIENCE_SECONDS)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(run())


async def test_afterwards_signals_are_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with asked_to_stop():
        pass
    assert signal.getsignal(signal.SIGTERM) == before
