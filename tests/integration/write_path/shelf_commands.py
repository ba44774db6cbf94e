"""Commands on shared shelves, as they are sent to a writing process, and what some order of them comes to.

A shelf is a product with a price and its stock in one warehouse. `Shelf` is the plain model: no events, no aggregates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from commandside.aggregates import Aggregates
from domain.aggregates import Cart, Product, StockItem
from domain.errors import NotFound
from domain.identity import cart_stream, product_stream, stock_stream
from domain.values import CartLine, Cause, Money, ProductDetails
from tests.strategies import START, cause

Kind = Literal["add", "reprice", "quote", "receive", "adjust", "reserve", "release", "commit", "look"]
WAREHOUSE = "north"
EXPIRES_AT = START + timedelta(hours=1)


@dataclass(frozen=True)
class ShelfCommand:
    """`name` is what its events are caused by. `number` is a price, a quantity, or nothing, as its kind has it."""

    kind: Kind
    sku: str
    number: int
    reservation_id: str
    name: str = ""

    def __call__(self, aggregates: Aggregates) -> int:
        """Raises DomainErrors. Returns the price for `add`, `reprice`, `quote`, else what is available afterwards."""
        by = replace(cause(), causation_id=self.name)
        match self.kind:
            case "add":
                return self._add(aggregates, by)
            case "reprice":
                product = self._product(aggregates)
                product.reprice(Money(self.number, "GBP"), by)
                return product.price.amount
            case "quote":
                return self._quote(aggregates, by)
            case _:
                return self._move(aggregates, by)

    def _add(self, aggregates: Aggregates, by: Cause) -> int:
        ids = [product_stream(self.sku), stock_stream(self.sku, WAREHOUSE)]
        aggregates.load(ids)
        if aggregates.find(Product, ids[0]) is None and aggregates.find(StockItem, ids[1]) is None:
            aggregates.add(Product.add(self.sku, ProductDetails(self.sku, ("Home",)), Money(self.number, "GBP"), by))
            aggregates.add(StockItem.open(self.sku, WAREHOUSE, by))
        return self._product(aggregates).price.amount

    def _quote(self, aggregates: Aggregates, by: Cause) -> int:
        """Puts the product into a cart of its own, at the price of now: the product is read, and not written."""
        price = self._product(aggregates).price
        owner = f"customer:{self.name}"
        assert aggregates.find(Cart, cart_stream(owner)) is None
        cart = Cart.open(owner, by)
        cart.add(CartLine(self.sku, self.sku, 1, price), by)
        aggregates.add(cart)
        return price.amount

    def _move(self, aggregates: Aggregates, by: Cause) -> int:
        item = aggregates.find(StockItem, stock_stream(self.sku, WAREHOUSE))
        if item is None:
            raise NotFound("stock", self.sku)
        match self.kind:
            case "receive":
                item.receive(self.number, by)
            case "adjust":
                item.adjust(-self.number, "count", by)
            case "reserve":
                item.reserve(self.reservation_id, self.number, EXPIRES_AT, by)
            case "release":
                item.release(self.reservation_id, by)
            case "commit":
                item.commit(self.reservation_id, by)
        return item.available

    def _product(self, aggregates: Aggregates) -> Product:
        product = aggregates.find(Product, product_stream(self.sku))
        if product is None:
            raise NotFound("product", self.sku)
        return product


@dataclass(frozen=True)
class Told:
    """What a command was answered: a result, or the name of the refusal."""

    name: str
    result: int | None
    refusal: str | None


@dataclass(frozen=True)
class Shelf:
    price: int
    on_hand: int = 0
    held: dict[str, int] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.on_hand - sum(self.held.values())

    def after(self, command: ShelfCommand) -> tuple[Shelf, Told]:
        """The shelf and the answer, if the command comes now, alone."""
        number, place, changed = command.number, command.reservation_id, self
        without = {name: units for name, units in self.held.items() if name != place}
        match command.kind:
            case "add" | "quote":
                return self, Told(command.name, self.price, None)
            case "reprice":
                return replace(self, price=number), Told(command.name, number, None)
            case "receive":
                changed = replace(self, on_hand=self.on_hand + number)
            case "adjust":
                if number > self.available:
                    return self, Told(command.name, None, "BelowReserved")
                changed = replace(self, on_hand=self.on_hand - number)
            case "reserve":
                if place in self.held:
                    return self, Told(command.name, None, "RuleBroken")
                if number > self.available:
                    return self, Told(command.name, None, "InsufficientStock")
                changed = replace(self, held={**self.held, place: number})
            case "release" | "commit":
                if place not in self.held:
                    return self, Told(command.name, None, "ReservationEnded")
                sold = self.held[place] if command.kind == "commit" else 0
                changed = replace(self, on_hand=self.on_hand - sold, held=without)
        return changed, Told(command.name, changed.available, None)
