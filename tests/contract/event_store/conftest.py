from __future__ import annotations

from collections.abc import Iterator

import pytest

from commandside.event_store import EventStore
from commandside.event_store.postgres import PostgresEventStore
from tests.contract.event_store.in_memory import IN_MEMORY


@pytest.fixture(params=["memory", "simulated", "postgres"])
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[EventStore, EventStore]]:
    """One log, as two processes have it. In memory there is only the one store."""
    if request.param in IN_MEMORY:
        alone = IN_MEMORY[request.param]()
        yield alone, alone
        return
    url = request.getfixturevalue("database_url")
    first, second = PostgresEventStore(url), PostgresEventStore(url)
    yield first, second
    first.close()
    second.close()
