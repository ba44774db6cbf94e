from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from commandside.event_store.memory import MemoryEventStore
from counterfoil.imports.held_back import held_back

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LONG_AGO = datetime(2010, 12, 1, tzinfo=UTC)
CHECKOUT = UUID(int=1)
HOLD = timedelta(days=30)


async def test_work_of_long_ago_is_not_due_before_the_hold_is_over() -> None:
    store = MemoryEventStore()
    await held_back(store, HOLD, lambda: NOW).append([], {CHECKOUT: LONG_AGO})
    assert await store.due_work(NOW + HOLD - timedelta(seconds=1), 10) == []
    assert await store.due_work(NOW + HOLD, 10) == [CHECKOUT]


async def test_work_that_is_done_is_done() -> None:
    store = MemoryEventStore()
    held = held_back(store, HOLD, lambda: NOW)
    await held.append([], {CHECKOUT: LONG_AGO})
    await held.append([], {CHECKOUT: None})
    assert await store.due_work(NOW + 2 * HOLD, 10) == []
