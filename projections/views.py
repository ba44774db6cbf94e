"""The views that live in Valkey: where each is kept, how it is read back, and what is written when it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from domain.events import AnyEvent
from projections import cart, order, product_page, stock_level
from projections.cart import CartView
from projections.keys import Keys
from projections.order import Ledger, OrderPage, OrderView
from projections.product_page import ProductPage, ProductView
from projections.stock_level import StockLevel
from projections.versions import Versioned
from projections.writes import PutDocument, PutEntry, PutLevel, Write

V = TypeVar("V", bound=Versioned)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class Slot(NamedTuple):
    """Where the view of one stream is kept: these `fields` of the hash `key`."""

    key: str
    fields: tuple[str, ...]


class View(Protocol[V]):
    """`evolve` is pure; the rest says how its result is stored."""

    name: str
    event_types: frozenset[type]

    def slot(self, event: Any) -> Slot: ...

    def load(self, slot: Slot, stored: Sequence[bytes | None]) -> V | None:
        """The view that the `stored` values of the slot's fields make up, None when there is none."""

    def evolve(self, view: V | None, event: AnyEvent) -> V: ...

    def writes(self, slot: Slot, view: V) -> Sequence[Write]: ...


class ProductPages:
    name = "product"
    event_types = product_page.EVENT_TYPES
    evolve = staticmethod(product_page.evolve)

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._decode = msgspec.json.Decoder(ProductPage).decode

    def slot(self, event: Any) -> Slot:
        return Slot(self._keys.product(event.sku), ("body", "kind"))

    def load(self, slot: Slot, stored: Sequence[bytes | None]) -> ProductView | None:
        body, kind = stored
        if body is None or kind is None:
            return None
        return ProductView(self._decode(body), "service" if kind == b"service" else "goods")

    def writes(self, slot: Slot, view: ProductView) -> Sequence[Write]:
        return [PutDocument(slot.key, view.version, {"body": _encode(view.page), "kind": view.kind.encode()})]


class StockLevels:
    name = "stock"
    event_types = stock_level.EVENT_TYPES
    evolve = staticmethod(stock_level.evolve)

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def slot(self, event: Any) -> Slot:
        return Slot(self._keys.stock(event.sku), (f"@{event.warehouse_id}",))

    def load(self, slot: Slot, stored: Sequence[bytes | None]) -> StockLevel | None:
        return None if stored[0] is None else read_level(stored[0])

    def writes(self, slot: Slot, view: StockLevel) -> Sequence[Write]:
        return [PutLevel(slot.key, slot.fields[0], view)]


class Carts:
    name = "cart"
    event_types = cart.EVENT_TYPES
    evolve = staticmethod(cart.evolve)

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._decode = msgspec.json.Decoder(CartView).decode

    def slot(self, event: Any) -> Slot:
        return Slot(self._keys.cart(str(event.originator_id)), ("body",))

    def load(self, slot: Slot, stored: Sequence[bytes | None]) -> CartView | None:
        return None if stored[0] is None else self._decode(stored[0])

    def writes(self, slot: Slot, view: CartView) -> Sequence[Write]:
        return [PutDocument(slot.key, view.version, {"body": _encode(view)})]


class Orders:
    """Also the list of each customer's orders: an order enters it with its first event and stays."""

    name = "order"
    event_types = order.EVENT_TYPES
    evolve = staticmethod(order.evolve)

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._decode_page = msgspec.json.Decoder(OrderPage).decode
        self._decode_ledger = msgspec.json.Decoder(Ledger).decode

    def slot(self, event: Any) -> Slot:
        return Slot(self._keys.order(str(event.originator_id)), ("body", "owner", "ledger"))

    def load(self, slot: Slot, stored: Sequence[bytes | None]) -> OrderView | None:
        body, owner, ledger = stored
        if body is None or owner is None or ledger is None:
            return None
        return OrderView(self._decode_page(body), owner.decode(), self._decode_ledger(ledger))

    def writes(self, slot: Slot, view: OrderView) -> Sequence[Write]:
        fields = {"body": _encode(view.page), "owner": view.owner.encode(), "ledger": _encode(view.ledger)}
        entry = orders_entry(view.ledger.submitted_at, view.page.order_id)
        return [PutDocument(slot.key, view.version, fields), PutEntry(self._keys.orders(view.owner), entry)]


def read_level(stored: bytes) -> StockLevel:
    """Of "version on_hand reserved"."""
    version, on_hand, reserved = stored.split(b" ")
    return StockLevel(int(version), int(on_hand), int(reserved))


def orders_entry(submitted_at: datetime, order_id: str) -> str:
    """Sorts by time, then by id. Whole microseconds: exact where a floating-point score might not be."""
    return f"{(submitted_at - _EPOCH) // timedelta(microseconds=1):016d}:{order_id}"
