"""The stock of one SKU in one warehouse, as its clients see it: what each of their requests and answers says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Stock(NamedTuple):
    """`held` and `sold` are the orders that hold units, and that have bought some; `version` counts its events."""

    on_hand: int = 0
    reserved: int = 0
    committed: int = 0
    version: int = 0
    held: frozenset[str] = frozenset()
    sold: frozenset[str] = frozenset()

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    def grown(self, on_hand: int = 0, reserved: int = 0, committed: int = 0) -> Stock:
        """One event later."""
        return self._replace(
            on_hand=self.on_hand + on_hand,
            reserved=self.reserved + reserved,
            committed=self.committed + committed,
            version=self.version + 1,
        )


class Effect(Protocol):
    """What one operation does to the stock; None where it could not have been done, or answered so."""

    def on(self, stock: Stock) -> Stock | None: ...


def step(stock: Stock, effect: Effect) -> Stock | None:
    return effect.on(stock)


def too_late(stock: Stock, effect: Effect) -> bool:
    """What could not be done here, and was told a version that does not come again."""
    match effect:
        case Looked(version=version):
            return stock.version >= version
        case Received(told=Figures(version=version)):
            return stock.version >= version - 1
        case _:
            return False


class Figures(NamedTuple):
    """What the answer to a receipt or a count says."""

    on_hand: int
    reserved: int
    version: int

    def fit(self, stock: Stock) -> bool:
        return (self.on_hand, self.reserved, self.version) == (stock.on_hand, stock.reserved, stock.version)


@dataclass(frozen=True, slots=True)
class Received:
    """Units came in, or (a negative `quantity`) were found missing; `told` None: nobody knows."""

    quantity: int
    told: Figures | None = None

    def on(self, stock: Stock) -> Stock | None:
        opened = stock if stock.version else stock.grown()  # the first receipt opens it
        after = opened.grown(on_hand=self.quantity)
        return after if after.available >= 0 and (self.told is None or self.told.fit(after)) else None


@dataclass(frozen=True, slots=True)
class CountRefused:
    """409 below-reserved: so many fewer would not have left what is reserved."""

    quantity_delta: int
    on_hand: int
    reserved: int

    def on(self, stock: Stock) -> Stock | None:
        as_told = (self.on_hand, self.reserved) == (stock.on_hand, stock.reserved)
        return stock if as_told and stock.available + self.quantity_delta < 0 else None


@dataclass(frozen=True, slots=True)
class Reserved:
    """A checkout began: it holds its units."""

    order: str
    quantity: int

    def on(self, stock: Stock) -> Stock | None:
        if self.quantity > stock.available or self.order in stock.held:
            return None
        return stock.grown(reserved=self.quantity)._replace(held=stock.held | {self.order})


@dataclass(frozen=True, slots=True)
class Sold:
    """A checkout ended well."""

    order: str
    quantity: int

    def on(self, stock: Stock) -> Stock | None:
        if self.order not in stock.held:
            return None
        after = stock.grown(on_hand=-self.quantity, reserved=-self.quantity, committed=self.quantity)
        return after._replace(held=stock.held - {self.order}, sold=stock.sold | {self.order})


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A checkout came to nothing: declined, out of time, or not wanted any more."""

    order: str
    quantity: int

    def on(self, stock: Stock) -> Stock | None:
        if self.order not in stock.held:
            return None
        return stock.grown(reserved=-self.quantity)._replace(held=stock.held - {self.order})


@dataclass(frozen=True, slots=True)
class Restocked:
    """An order that was placed was cancelled."""

    order: str
    quantity: int

    def on(self, stock: Stock) -> Stock | None:
        if self.order not in stock.sold:
            return None
        after = stock.grown(on_hand=self.quantity, committed=-self.quantity)
        return after._replace(sold=stock.sold - {self.order})


@dataclass(frozen=True, slots=True)
class Refused:
    """409 insufficient-stock: `requested` were asked for, and `available` were to be had at that moment."""

    requested: int
    available: int

    def on(self, stock: Stock) -> Stock | None:
        return stock if stock.available == self.available < self.requested else None


@dataclass(frozen=True, slots=True)
class Offered:
    """A cart took so many: they were to be had at that moment."""

    quantity: int

    def on(self, stock: Stock) -> Stock | None:
        return stock if stock.available >= self.quantity else None


@dataclass(frozen=True, slots=True)
class Looked:
    """All the figures, read."""

    on_hand: int
    reserved: int
    committed: int
    version: int

    def on(self, stock: Stock) -> Stock | None:
        return stock if stock[:4] == (self.on_hand, self.reserved, self.committed, self.version) else None
