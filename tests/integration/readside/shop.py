"""Things that happen in a shop, in a line each, and a log that holds them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from domain.aggregates import Cart, EventSourced, Order, Product, StockItem
from domain.events import AnyEvent
from domain.events.order import ShipmentPacked
from domain.pricing import Totals
from domain.values import Address, CartLine, Cause, Item, Money, OrderLine, ProductDetails, ProductKind, ShipmentPlan
from projections.keys import Keys
from projections.recorded import Recorded
from projections.view_projection import ViewProjection
from projections.views import Carts, Orders, ProductPages, StockLevels
from tests.fakes.streams import MemoryStreams

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_seconds = count()


def cause(actor: str = "operator:bo") -> Cause:
    """A second later than the one before."""
    return Cause(START + timedelta(seconds=next(_seconds)), actor, "command-1", "conversation-1")


def gbp(amount: int) -> Money:
    return Money(amount, "GBP")


def product(sku: str = "lamp", price: int = 1000, kind: ProductKind = "goods") -> Product:
    details = ProductDetails(title=f"The {sku}", category=("Home", "Lamps"), brand="Lumen", kind=kind)
    return Product.add(sku, details, gbp(price), cause())


def stock(sku: str = "lamp", quantity: int = 10, warehouse_id: str = "north") -> StockItem:
    item = StockItem.open(sku, warehouse_id, cause())
    item.receive(quantity, cause())
    return item


def cart(owner: str, sku: str = "lamp", quantity: int = 2, price: int = 1000) -> Cart:
    opened = Cart.open(owner, cause(owner))
    opened.add(CartLine(sku, f"The {sku}", quantity, gbp(price)), cause(owner))
    return opened


def order(owner: str, number: int, sku: str = "lamp") -> Order:
    """Placed."""
    submitted = Order.submit(
        UUID(int=number),
        owner,
        UUID(int=0),
        (OrderLine(sku, f"The {sku}", 2, gbp(1000)),),
        Totals(gbp(2000), gbp(300), gbp(0), gbp(2300)),
        Address("Ada", "1 Lane", "Leeds", "LS1", "GB"),
        "standard",
        (ShipmentPlan("s1", "north", (Item(sku, 2),), START + timedelta(days=3)),),
        cause(owner),
    )
    submitted.place(f"pay-{number}", True, cause(owner))
    return submitted


def about_a_shipment_that_it_does_not_have(subject: Order) -> ShipmentPacked:
    """An event of this order that no view of it can take."""
    return ShipmentPacked(
        originator_id=subject.id,
        originator_version=subject.version + 1,
        timestamp=cause().at,
        actor="operator:bo",
        causation_id="command-1",
        correlation_id="conversation-1",
        shipment_id="s9",
    )


def collected(*aggregates: EventSourced) -> list[AnyEvent]:
    return [event for aggregate in aggregates for event in aggregate.collect_events()]


class MemoryShop:
    """A log in memory, and the views in Valkey that it feeds when told to."""

    def __init__(self, client: Redis, keys: Keys | None = None) -> None:
        keys = keys or Keys()
        self.log: list[Recorded] = []
        self.streams = MemoryStreams()
        self.projections: list[ViewProjection[Any]] = [
            ViewProjection(view, client, self.streams, keys)
            for view in (ProductPages(keys), StockLevels(keys), Carts(keys), Orders(keys))
        ]

    @property
    def position(self) -> int:
        return self.log[-1].position if self.log else 0

    def record(self, *aggregates: EventSourced) -> int:
        """Appends what happened; the views do not know yet. Returns the position."""
        for event in collected(*aggregates):
            self.log.append(Recorded(self.position + 1, event))
            self.streams.append(event)
        return self.position

    async def project(self) -> None:
        for projection in self.projections:
            done = await projection.checkpoint()
            await projection.apply([r for r in self.log if r.position > done], self.position)

    async def happened(self, *aggregates: EventSourced) -> int:
        """Recorded, and seen by the views."""
        position = self.record(*aggregates)
        await self.project()
        return position
