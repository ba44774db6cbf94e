"""The engine against a search that is too simple to be wrong: Python over a list of products."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.search import open_search_projection
from queryside.search import SearchEngine, SearchQuery, SearchResult
from queryside.search.category_path import format_path
from queryside.search.postgres import open_postgres_search
from queryside.search.query import Sort
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import SORTS, facet, skus

PATHS = (("Home",), ("Home", "Lights"), ("Home", "Lights", "Desk"), ("Garden",), ("Garden", "Lights"), ())
BRANDS = ("Lumen", "Relic", None)
WORDS = ("red", "blue", "lamp", "chair")
PRICES = (0, 999, 1000, 2499, 2500, 7000, 2**53)


@dataclass(frozen=True)
class Product:
    sku: str
    words: frozenset[str]
    path: tuple[str, ...]
    brand: str | None
    price: int
    rating: int | None
    reviews: int
    stock: int
    sold: int
    number: int


def catalogue() -> list[Product]:
    """Every attribute with every other, more or less: 120 products, whose attributes repeat in different periods."""
    return [
        Product(
            sku=f"p{number:03d}",
            words=frozenset(word for bit, word in enumerate(WORDS) if (number * 7 + number // 5) >> bit & 1),
            path=PATHS[number % 6],
            brand=BRANDS[number // 6 % 3],
            price=PRICES[number * 5 % 7],
            rating=(None, 100, 399, 400, 450, 500)[number // 7 % 6],
            reviews=number % 4 + 1,
            stock=number % 3,
            sold=number % 5,
            number=number,
        )
        for number in range(120)
    ]


PRODUCTS = catalogue()


@pytest.fixture
async def engine(module_database_url: str) -> AsyncIterator[SearchEngine]:
    async with (
        open_search_projection(module_database_url, Shop()) as projection,
        open_postgres_search(module_database_url) as engine,
    ):
        await projection.apply((shop := shop_of(PRODUCTS)).history, shop.position)
        yield engine


def shop_of(products: list[Product]) -> Shop:
    shop = Shop()
    for product in products:
        title = " ".join(["thing", *sorted(product.words)])
        shop.add(product.sku, title, category=product.path, brand=product.brand, price=product.price)
        if product.rating is not None:
            shop.rate(product.sku, product.rating, product.reviews)
        if product.stock:
            shop.receive(product.sku, product.stock)
    shop.sell("all", **{product.sku: product.sold for product in products if product.sold})
    return shop


queries = st.builds(
    SearchQuery,
    text=st.none() | st.lists(st.sampled_from(WORDS), min_size=1, max_size=2, unique=True).map(" ".join),
    category=st.just(()) | st.sampled_from(PATHS),
    brands=st.just(()) | st.lists(st.sampled_from(["Lumen", "Relic", "None such"]), max_size=2).map(tuple),
    price_min=st.none() | st.sampled_from(PRICES),
    price_max=st.none() | st.sampled_from(PRICES),
    min_rating=st.none() | st.sampled_from(["0", "4", "4.5", "3.991", "5"]).map(Decimal),
    in_stock=st.booleans(),
    sort=st.sampled_from(SORTS),
    limit=st.sampled_from([9, 40, 100]),
)


def matching(query: SearchQuery) -> list[Product]:
    def meets(product: Product) -> bool:
        return (
            (query.text is None or set(query.text.split()) <= product.words)
            and product.path[: len(query.category)] == query.category
            and (not query.brands or product.brand in query.brands)
            and (query.price_min is None or product.price >= query.price_min)
            and (query.price_max is None or product.price <= query.price_max)
            and (not query.min_rating or (product.rating is not None and product.rating >= query.min_rating * 100))
            and (not query.in_stock or product.stock > 0)
        )

    return [product for product in PRODUCTS if meets(product)]


def in_order(products: list[Product], sort: Sort) -> list[str]:
    keys: dict[Sort, Callable[[Product], Any]] = {
        "price_asc": lambda product: product.price,
        "price_desc": lambda product: -product.price,
        "rating": lambda product: (-(product.rating or -1), -product.reviews if product.rating else 0),
        "newest": lambda product: -product.number,
        "bestselling": lambda product: -product.sold,
        "relevance": lambda product: -product.sold,
    }
    return [product.sku for product in sorted(products, key=lambda product: (keys[sort](product), product.sku))]


def price_range(product: Product) -> str:
    bounds = [0, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000]
    lowest = max(bound for bound in bounds if bound <= product.price)
    above = [bound for bound in bounds if bound > lowest]
    return f"{lowest}-{above[0] - 1 if above else ''}"


async def all_pages(engine: SearchEngine, query: SearchQuery) -> tuple[list[SearchResult], list[str]]:
    pages = [await engine.search(query)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(await engine.search(replace(query, cursor=cursor)))
    return pages, [sku for page in pages for sku in skus(page)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries)
async def test_products_order_total_and_facets(engine: SearchEngine, query: SearchQuery) -> None:
    expected = matching(query)
    pages, found = await all_pages(engine, query)
    if query.text is not None and query.sort == "relevance":
        assert sorted(found) == sorted(product.sku for product in expected)
    else:
        assert found == in_order(expected, query.sort)
    assert {page.total for page in pages} == {len(expected)}

    facets = pages[0].facets
    assert all(page.facets == facets for page in pages)
    by_path = Counter(
        format_path(product.path[:depth])
        for product in matching(replace(query, category=()))
        for depth in range(1, len(product.path) + 1)
    )
    assert facet(facets.categories) == by_path
    any_brand = matching(replace(query, brands=()))
    assert facet(facets.brands) == Counter(product.brand for product in any_brand if product.brand)
    any_price = matching(replace(query, price_min=None, price_max=None))
    assert facet(facets.price_ranges) == Counter(price_range(product) for product in any_price)
    any_rating = matching(replace(query, min_rating=None))
    assert facet(facets.ratings) == {
        str(stars): count
        for stars in range(1, 6)
        if (count := sum(product.rating is not None and product.rating >= stars * 100 for product in any_rating))
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | st.text("red lamp-\"'\\|&!():*<>/ orORé🔥", max_size=40))
async def test_any_text_has_an_answer(engine: SearchEngine, text: str) -> None:
    result = await engine.search(SearchQuery(text=text.replace("\x00", " ")))
    assert len(result.products) == min(result.total, 20)
