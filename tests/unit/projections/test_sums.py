"""What the sums say of stock, from the JSON of its events, is what the stock itself comes to."""

from __future__ import annotations

from hypothesis import given

from commandside.event_store.mapper import EventMapper
from domain.aggregates import StockItem
from domain.events import AnyEvent
from projections.stock_level import EVENT_TYPES
from projections.sums import units_moved
from tests.histories import stock_histories

MAPPER = EventMapper()


@given(stock_histories())
def test_they_add_up_to_what_is_there(history: list[AnyEvent]) -> None:
    item: StockItem | None = None
    on_hand = reserved = 0
    for event in history:
        item = event.mutate(item)
        stored = MAPPER.to_stored_event(event)
        more_on_hand, more_reserved = units_moved(stored.topic, stored.state)
        on_hand, reserved = on_hand + more_on_hand, reserved + more_reserved
        assert item is not None
        assert (on_hand, reserved) == (item.on_hand, item.reserved)


def test_they_know_every_event_that_the_level_of_stock_is_made_of() -> None:
    for event_type in EVENT_TYPES:
        assert units_moved(event_type.TOPIC, b"{}") == (0, 0)  # type: ignore[attr-defined]
