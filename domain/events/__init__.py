"""Every event there is. Adding one: a class with a TOPIC of its own here, and a golden file in tests/history/."""

from domain.events import allowance, cart, checkout, order, product, receipt, stock
from domain.events.base import EVENT_TYPES, AnyEvent, Created, Event
from domain.events.recorded import Recorded

__all__ = [
    "EVENT_TYPES",
    "AnyEvent",
    "Created",
    "Event",
    "Recorded",
    "allowance",
    "cart",
    "checkout",
    "order",
    "product",
    "receipt",
    "stock",
]
