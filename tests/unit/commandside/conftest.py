from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from commandside.writer import Writer
from tests.unit.commandside.scripted_store import ScriptedStore


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
async def writer(store: ScriptedStore) -> AsyncIterator[Writer]:
    writer = Writer(store)
    await writer.start()
    yield writer
    await writer.stop()
