"""Units: never more sold and promised than came in; what is reserved ends once; what comes back comes once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from counterfoil.simulation.checker.evidence import Event

Place = tuple[str, str]  # SKU, warehouse


@dataclass(slots=True)
class Level:
    """`came_in`: received, and what counts found more or fewer."""

    came_in: int = 0
    committed: int = 0
    reserved: int = 0

    @property
    def on_hand(self) -> int:
        return self.came_in - self.committed


@dataclass(slots=True)
class StockBook:
    """`ends`: how a reservation ended, by order and place. `levels_at`: on hand and reserved, by stream version."""

    levels: dict[str, Level] = field(default_factory=dict)
    levels_at: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    reserved: dict[tuple[str, Place], Event] = field(default_factory=dict)
    ends: dict[tuple[str, Place], Event] = field(default_factory=dict)
    restocked: dict[str, Counter[Place]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


_ENDS = ("stock.committed.v1", "stock.released.v1", "stock.reservation_expired.v1")


def read_stock(events: Iterable[Event]) -> StockBook:
    book = StockBook()
    for event in events:
        data, topic = event.data, event.topic
        level = book.levels.get(event.stream)
        if level is None:
            level = book.levels[event.stream] = Level()
        if topic == "stock.received.v1":
            level.came_in += data["quantity"]
        elif topic == "stock.adjusted.v1":
            level.came_in += data["quantity_delta"]
        elif topic == "stock.reserved.v1":
            level.reserved += data["quantity"]
            _note_reserved(book, event)
        elif topic in _ENDS:
            level.reserved -= data["quantity"]
            if topic == _ENDS[0]:
                level.committed += data["quantity"]
            _note_end(book, event)
        elif topic == "stock.restocked.v1":
            level.committed -= data["quantity"]
            _note_restocked(book, event)
        book.levels_at[event.stream, event.version] = (level.on_hand, level.reserved)
        if level.committed + level.reserved > level.came_in or min(level.committed, level.reserved) < 0:
            book.violations.append(f"oversold at {event.position}: {data['sku']}@{data['warehouse_id']} {level}")
    return book


def unended(book: StockBook) -> Iterator[str]:
    for (order_id, place), event in book.reserved.items():
        if (order_id, place) not in book.ends:
            yield f"a reservation never ended: {place} for order {order_id}, of position {event.position}"


def _note_reserved(book: StockBook, event: Event) -> None:
    key = (event.data["reservation_id"], _place(event))
    if key in book.reserved:
        book.violations.append(f"reserved twice: {key} at {event.position}")
    book.reserved[key] = event


def _note_end(book: StockBook, event: Event) -> None:
    key = (event.data["reservation_id"], _place(event))
    reserved = book.reserved.get(key)
    if reserved is None or key in book.ends or reserved.data["quantity"] != event.data["quantity"]:
        book.violations.append(f"{event.topic} of what is not held: {key} at {event.position}")
    elif event.topic == _ENDS[2] and event.data["timestamp"] < reserved.data["expires_at"]:
        book.violations.append(f"expired before its time: {key} at {event.position}")
    book.ends[key] = event


def _note_restocked(book: StockBook, event: Event) -> None:
    book.restocked.setdefault(event.data["reference"], Counter())[_place(event)] += event.data["quantity"]


def _place(event: Event) -> Place:
    return event.data["sku"], event.data["warehouse_id"]
