from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.aggregates import StockItem
from domain.values import Cause
from projections import stock_level
from projections.versions import VersionGap

CAUSE = Cause(datetime(2026, 3, 1, tzinfo=UTC), "operator:bo", "command-1", "conversation-1")


def test_a_stream_that_does_not_begin_at_its_beginning_is_a_gap() -> None:
    stock = StockItem.open("lamp", "north", CAUSE)
    stock.receive(5, CAUSE)
    with pytest.raises(VersionGap) as raised:
        stock_level.evolve(None, stock.pending_events[1])  # type: ignore[arg-type]
    assert (raised.value.stream_id, raised.value.held_version, raised.value.event_version) == (stock.id, 0, 2)
