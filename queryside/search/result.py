"""What a search answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

EngineName = Literal["postgres", "opensearch"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Answer):
    amount: Annotated[int, Field(description="Minor units of the currency.")]
    currency: Annotated[str, Field(description="ISO 4217.")]


class Stock(_Answer):
    """`quantity` is null where there is nothing to count: a service."""

    status: Literal["in_stock", "low_stock", "out_of_stock"]
    quantity: int | None


class FoundProduct(_Answer):
    product_id: str
    title: str
    brand: str | None
    category: tuple[str, ...]
    price: Price
    images: tuple[str, ...]
    rating: Annotated[float | None, Field(description="Stars, 0 to 5; null while nobody has reviewed it.")]
    review_count: int
    availability: Stock


class FacetValue(_Answer):
    """`value` is what the filter of the same name takes; `count` products would be found with it."""

    value: str
    count: int


class CategoryFacet(FacetValue):
    """`value` is the path as text, `path` its names."""

    path: tuple[str, ...]


class PriceFacet(FacetValue):
    """Both ends are meant; `price_max` is null in the range that has none."""

    price_min: int
    price_max: int | None


class Facets(_Answer):
    """Each ignores the filter of its own kind, so that it shows what else could be chosen; the most frequent first."""

    categories: tuple[CategoryFacet, ...]
    brands: tuple[FacetValue, ...]
    price_ranges: tuple[PriceFacet, ...]
    ratings: Annotated[tuple[FacetValue, ...], Field(description="Products with at least so many stars.")]


class SearchResult(_Answer):
    products: tuple[FoundProduct, ...]
    facets: Facets
    total: Annotated[int, Field(description="All products found, exactly.")]
    next_cursor: Annotated[str | None, Field(description="Null on the last page.")]
    engine: EngineName
    corrected_query: Annotated[
        str | None,
        Field(
            description="What was looked for instead, when nothing has the words as typed.",
            exclude_if=lambda v: v is None,
        ),
    ] = None


class CategoryCount(_Answer):
    """Listed products directly in a category, not below it."""

    path: tuple[str, ...]
    count: int
