"""A shop of six products, and what to say of a search in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from queryside.search import SearchEngine, SearchResult
from queryside.search.query import Sort
from tests.integration.search.shop import Shop

Index = Callable[[Shop], Awaitable[SearchEngine]]
"""Feeds the shop's history to the engine's projection; gives the engine once it can be found there."""

SORTS: tuple[Sort, ...] = ("relevance", "price_asc", "price_desc", "rating", "newest", "bestselling")


def skus(result: SearchResult) -> list[str]:
    return [product.product_id for product in result.products]


def found_skus(result: SearchResult) -> set[str]:
    assert result.total == len(result.products)
    return set(skus(result))


def facet(values: tuple[object, ...]) -> dict[str, int]:
    return {value.value: value.count for value in values}  # type: ignore[attr-defined]


def small_shop() -> Shop:
    shop = Shop()
    shop.add("lamp-red", "Red desk lamp", category=["Home", "Lamps"], brand="Lumen", price=2500)
    shop.add("lamp-blue", "Blue desk lamp", category=["Home", "Lamps"], brand="Lumen", price=3500)
    shop.add("lamp-old", "Vintage lantern", category=["Home", "Lamps"], brand="Relic", price=9900,
             description="An oil lamp of brass.")  # fmt: skip
    shop.add("chair-red", "Red wooden chair", category=["Home", "Furniture"], brand="Relic", price=15000)
    shop.add("mug", "Café mug", category=["Kitchen"], price=700)
    shop.add("wrap", "Gift wrapping", category=["Services"], price=300, kind="service")
    shop.receive("lamp-red", 10)
    shop.receive("lamp-blue", 3, "LON")
    shop.receive("lamp-blue", 1, "MAN")
    shop.receive("chair-red", 2)
    shop.reserve("chair-red", 2)
    shop.rate("lamp-red", 450, 20)
    shop.rate("lamp-blue", 380, 4)
    shop.rate("chair-red", 450, 90)
    shop.sell("o1", **{"lamp-blue": 5, "mug": 2})
    shop.sell("o2", mug=1)
    return shop
