from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Attribute = str | int | float | bool
ProductKind = Literal["goods", "service"]


@dataclass(frozen=True, slots=True)
class ProductDetails:
    """What a product page says of a product, apart from its price, stock and rating.

    `category` is a path from the root of the tree, most general first. A `service` (postage, gift wrap) has no stock.
    """

    title: str
    category: tuple[str, ...]
    description: str | None = None
    brand: str | None = None
    attributes: dict[str, Attribute] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    seller_id: str | None = None
    kind: ProductKind = "goods"
