from __future__ import annotations

from typing import ClassVar

from domain.events.base import Created, Event


class AllowanceOpened(Created):
    """The first order of this owner that takes of this product while it has a limit per customer."""

    TOPIC: ClassVar[str] = "allowance.opened.v1"
    owner: str
    product_id: str


class AllowanceTaken(Event):
    """An order has so many units; `limit` is the product's as it was then."""

    TOPIC: ClassVar[str] = "allowance.taken.v1"
    order_id: str
    quantity: int
    limit: int


class AllowanceGivenBack(Event):
    """The order came to nothing: its units can be had again."""

    TOPIC: ClassVar[str] = "allowance.given_back.v1"
    order_id: str
    quantity: int
