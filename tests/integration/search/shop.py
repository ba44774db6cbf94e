"""Writes the history that search is made from: what happened, in the words of a shop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid5

from domain.events import AnyEvent
from domain.events.order import (
    OrderCancelled,
    OrderPaymentFailed,
    OrderPlaced,
    OrderSubmitted,
    ReturnReceived,
    ReturnRequested,
    ShipmentPacked,
)
from domain.events.product import (
    ProductActivated,
    ProductAdded,
    ProductDeactivated,
    ProductRated,
    ProductRepriced,
    ProductRevised,
)
from domain.events.stock import (
    StockAdjusted,
    StockCommitted,
    StockOpened,
    StockReceived,
    StockReleased,
    StockReserved,
    StockRestocked,
)
from domain.identity import product_stream, stock_stream
from domain.values import Address, Attribute, Item, Money, OrderLine, ProductDetails, ProductKind
from projections.recorded import Recorded

OPENING = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_ORDERS = UUID(int=1)
_ADDRESS = Address("A. Shopper", "1 High Street", "Leeds", "LS1 1AA", "GB")

E = TypeVar("E", bound=AnyEvent)


class Shop:
    """Its `history` has gaps in the positions, as a log may; each event comes a minute after the one before."""

    def __init__(self) -> None:
        self.history: list[Recorded] = []
        self._versions: Counter[UUID] = Counter()

    @property
    def position(self) -> int:
        return self.history[-1].position if self.history else 0

    def add(
        self,
        sku: str,
        title: str,
        *,
        category: Sequence[str] = ("Home",),
        brand: str | None = None,
        price: int = 1000,
        description: str | None = None,
        images: Sequence[str] = (),
        attributes: Mapping[str, Attribute] | None = None,
        kind: ProductKind = "goods",
    ) -> None:
        details = ProductDetails(
            title=title,
            category=tuple(category),
            description=description,
            brand=brand,
            attributes=dict(attributes or {}),
            images=tuple(images),
            kind=kind,
        )
        self._happened(
            ProductAdded,
            product_stream(sku),
            originator_topic="product",
            sku=sku,
            details=details,
            price=Money(price, "GBP"),
        )

    def revise(self, sku: str, title: str, **details: Any) -> None:
        revised = ProductDetails(title=title, category=tuple(details.pop("category", ("Home",))), **details)
        self._happened(ProductRevised, product_stream(sku), sku=sku, details=revised)

    def reprice(self, sku: str, price: int) -> None:
        self._happened(ProductRepriced, product_stream(sku), sku=sku, price=Money(price, "GBP"))

    def deactivate(self, sku: str) -> None:
        self._happened(ProductDeactivated, product_stream(sku), sku=sku)

    def activate(self, sku: str) -> None:
        self._happened(ProductActivated, product_stream(sku), sku=sku)

    def rate(self, sku: str, hundredths: int, reviews: int = 10) -> None:
        self._happened(ProductRated, product_stream(sku), sku=sku, rating_hundredths=hundredths, review_count=reviews)

    def receive(self, sku: str, quantity: int, warehouse_id: str = "LON") -> None:
        if not self._versions[stock_stream(sku, warehouse_id)]:
            self._stock(StockOpened, sku, warehouse_id, originator_topic="stock")
        self._stock(StockReceived, sku, warehouse_id, quantity=quantity)

    def adjust(self, sku: str, quantity_delta: int, warehouse_id: str = "LON") -> None:
        self._stock(StockAdjusted, sku, warehouse_id, quantity_delta=quantity_delta, reason="count")

    def reserve(self, sku: str, quantity: int, warehouse_id: str = "LON") -> None:
        self._stock(
            StockReserved,
            sku,
            warehouse_id,
            reservation_id="r",
            quantity=quantity,
            expires_at=OPENING + timedelta(days=9),
        )

    def release(self, sku: str, quantity: int, warehouse_id: str = "LON") -> None:
        self._stock(StockReleased, sku, warehouse_id, reservation_id="r", quantity=quantity)

    def commit(self, sku: str, quantity: int, warehouse_id: str = "LON") -> None:
        self._stock(StockCommitted, sku, warehouse_id, reservation_id="r", quantity=quantity)

    def restock(self, sku: str, quantity: int, warehouse_id: str = "LON") -> None:
        self._stock(StockRestocked, sku, warehouse_id, quantity=quantity, reference="order")

    def submit(self, order: str, **units: int) -> None:
        lines = tuple(OrderLine(sku, sku, quantity, Money(1000, "GBP")) for sku, quantity in units.items())
        total = Money.total((line.line_total for line in lines), "GBP")
        nothing = Money.zero("GBP")
        self._happened(
            OrderSubmitted,
            _order(order),
            originator_topic="order",
            owner="customer:1",
            cart_id="cart",
            lines=lines,
            subtotal=total,
            shipping_fee=nothing,
            tax=nothing,
            total=total,
            shipping_address=_ADDRESS,
            shipping_method="standard",
            shipments=(),
        )

    def place(self, order: str) -> None:
        self._happened(OrderPlaced, _order(order), payment_reference="paid", payment_captured=True)

    def fail_payment(self, order: str) -> None:
        self._happened(OrderPaymentFailed, _order(order), reason="declined")

    def cancel(self, order: str) -> None:
        self._happened(OrderCancelled, _order(order), reason=None)

    def pack(self, order: str) -> None:
        self._happened(ShipmentPacked, _order(order), shipment_id="s1")

    def request_return(self, order: str, return_id: str, **units: int) -> None:
        items = tuple(Item(sku, quantity) for sku, quantity in units.items())
        self._happened(
            ReturnRequested, _order(order), return_id=return_id, items=items, reason="too big", refund=Money.zero("GBP")
        )

    def receive_return(self, order: str, return_id: str) -> None:
        self._happened(ReturnReceived, _order(order), return_id=return_id)

    def sell(self, order: str, **units: int) -> None:
        self.submit(order, **units)
        self.place(order)

    async def read_stream(self, stream_id: UUID, after_version: int, limit: int) -> list[AnyEvent]:
        """As the event store gives it."""
        events = [recorded.event for recorded in self.history if recorded.event.originator_id == stream_id]
        return events[after_version : after_version + limit]

    def _stock(self, kind: type[E], sku: str, warehouse_id: str, **fields: Any) -> None:
        self._happened(kind, stock_stream(sku, warehouse_id), sku=sku, warehouse_id=warehouse_id, **fields)

    def _happened(self, kind: type[E], stream: UUID, **fields: Any) -> None:
        self._versions[stream] += 1
        event = kind(
            originator_id=stream,
            originator_version=self._versions[stream],
            timestamp=OPENING + timedelta(minutes=len(self.history)),
            actor="operator:1",
            causation_id="command",
            correlation_id="conversation",
            **fields,
        )
        self.history.append(Recorded(self.position + 1 + len(self.history) % 2, event))


def _order(name: str) -> UUID:
    return uuid5(_ORDERS, name)
