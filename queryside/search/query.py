from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

Sort = Literal["relevance", "price_asc", "price_desc", "rating", "newest", "bestselling"]

MAX_TEXT_LENGTH: Final = 200
MAX_BRANDS_COUNT: Final = 20
MAX_PRICE_MINOR: Final = 2**53
MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is looked for. Filters of different kinds are all met; of several brands any one.

    `text` is what was typed: words, "phrases", -exclusions; the last word may be the beginning of one. None: all.
    `category` is a path and means everything below it. Prices are in minor units, inclusive, of whatever currency.
    `min_rating` is in stars, 0 to 5; products without a rating meet 0 only.
    `cursor` is `next_cursor` of the page before.
    Relevance without a text is by units sold.
    """

    text: str | None = None
    category: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    price_min: int | None = None
    price_max: int | None = None
    min_rating: Decimal | None = None
    in_stock: bool = False
    sort: Sort = "relevance"
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
