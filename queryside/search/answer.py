"""From what an engine finds to what is answered."""

from __future__ import annotations

from itertools import accumulate

import msgspec

from projections.availability import availability
from queryside.search.category_path import format_path
from queryside.search.cursor import write_cursor
from queryside.search.facets import PRICE_BOUNDS
from queryside.search.query import SearchQuery
from queryside.search.result import (
    CategoryFacet,
    EngineName,
    Facets,
    FacetValue,
    FoundProduct,
    Price,
    PriceFacet,
    SearchResult,
    Stock,
)


class FoundRow(msgspec.Struct, frozen=True):
    key: int
    sku: str
    title: str
    brand: str | None
    category: tuple[str, ...]
    price_minor: int
    currency: str
    images: tuple[str, ...]
    rating_hundredths: int | None
    review_count: int
    is_service: bool
    available: int


class Found(msgspec.Struct, frozen=True):
    """`products` may be one more than a page; `price_ranges` count from 0, `stars` are whole ones, rounded down."""

    total: int
    products: tuple[FoundRow, ...]
    categories: tuple[tuple[tuple[str, ...], int], ...]
    brands: tuple[tuple[str, int], ...]
    price_ranges: tuple[tuple[int, int], ...]
    stars: tuple[tuple[int, int], ...]


def found_row(key: int, fields: dict[str, object]) -> FoundRow:
    """Of a product's `fields` as they are named here."""
    return msgspec.convert({"key": key, **fields}, FoundRow)


def result(engine: EngineName, query: SearchQuery, found: Found, corrected_text: str | None) -> SearchResult:
    page = found.products[: query.limit]
    more = len(found.products) > query.limit
    return SearchResult(
        products=tuple(_product(row) for row in page),
        facets=_facets(found),
        total=found.total,
        next_cursor=write_cursor(engine, query, page[-1].key, page[-1].sku, corrected_text) if more else None,
        engine=engine,
        corrected_query=corrected_text,
    )


def _product(row: FoundRow) -> FoundProduct:
    stock = availability("service" if row.is_service else "goods", row.available)
    return FoundProduct(
        product_id=row.sku,
        title=row.title,
        brand=row.brand,
        category=row.category,
        price=Price(amount=row.price_minor, currency=row.currency),
        images=row.images,
        rating=row.rating_hundredths / 100 if row.rating_hundredths is not None else None,
        review_count=row.review_count,
        availability=Stock(status=stock.status, quantity=stock.quantity),
    )


def _facets(found: Found) -> Facets:
    return Facets(
        categories=tuple(
            CategoryFacet(value=format_path(path), path=path, count=count) for path, count in found.categories
        ),
        brands=tuple(FacetValue(value=name, count=count) for name, count in found.brands),
        price_ranges=tuple(_price_range(number, count) for number, count in found.price_ranges),
        ratings=_ratings(dict(found.stars)),
    )


def _price_range(number: int, count: int) -> PriceFacet:
    lowest = PRICE_BOUNDS[number - 1] if number > 0 else 0
    highest = PRICE_BOUNDS[number] - 1 if number < len(PRICE_BOUNDS) else None
    value = f"{lowest}-{highest if highest is not None else ''}"
    return PriceFacet(value=value, price_min=lowest, price_max=highest, count=count)


def _ratings(by_stars: dict[int, int]) -> tuple[FacetValue, ...]:
    # Five whole stars are few; "4 and up" is what shoppers choose by.
    stars = (5, 4, 3, 2, 1)
    counts = accumulate(by_stars.get(number, 0) for number in stars)
    return tuple(
        FacetValue(value=str(number), count=count) for number, count in zip(stars, counts, strict=True) if count
    )
