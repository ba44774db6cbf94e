"""Searching, and browsing by category: GET /v1/search, /v1/categories, /v1/categories/{path}."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AfterValidator, Field, model_validator

from queryside.api.category_tree import Categories, tree
from queryside.api.freshness import fresh
from queryside.api.parameters import Parameters, only
from queryside.api.problems import problems
from queryside.errors import InvalidQuery, NotFound
from queryside.search.category_path import parse_path
from queryside.search.cursor import MAX_CURSOR_LENGTH
from queryside.search.engine import SearchEngine
from queryside.search.query import (
    DEFAULT_LIMIT,
    MAX_BRANDS_COUNT,
    MAX_LIMIT,
    MAX_PRICE_MINOR,
    MAX_TEXT_LENGTH,
    SearchQuery,
    Sort,
)
from queryside.search.result import SearchResult

MAX_NAME_LENGTH = 200
MAX_PATH_LENGTH = 2_000

router = APIRouter(tags=["search"], dependencies=[Depends(fresh("search"))])


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a NUL character is not allowed")
    return text


def _category_path(text: str) -> str:
    parse_path(text)
    return text


Text = Annotated[str, AfterValidator(_without_nul)]
PriceMinor = Annotated[int | None, Field(ge=0, le=MAX_PRICE_MINOR, description="minor units, inclusive")]


class Within(Parameters):
    """The query parameters that narrow and sort products, wherever they are looked for."""

    q: Annotated[
        Text | None,
        Field(
            max_length=MAX_TEXT_LENGTH,
            description='words, "phrases" and -exclusions; the last word may be the beginning of one',
        ),
    ] = None
    brand: Annotated[
        list[Annotated[Text, Field(max_length=MAX_NAME_LENGTH)]],
        Field(default_factory=list, max_length=MAX_BRANDS_COUNT, description="may be repeated: any of them"),
    ]
    price_min: PriceMinor = None
    price_max: PriceMinor = None
    min_rating: Annotated[Decimal | None, Field(ge=0, le=5, max_digits=10, description="stars")] = None
    in_stock: Annotated[bool, Field(description="true: only what can be had now")] = False
    sort: Annotated[Sort, Field(description="relevance without q: by units sold")] = "relevance"
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[
        Text | None,
        Field(max_length=MAX_CURSOR_LENGTH, description="next_cursor of the page before, of the same search"),
    ] = None

    @model_validator(mode="after")
    def _prices_in_order(self) -> Self:
        if self.price_min is not None and self.price_max is not None and self.price_min > self.price_max:
            raise ValueError("price_min is above price_max")
        return self

    def query(self, category: tuple[str, ...]) -> SearchQuery:
        return SearchQuery(
            text=(self.q or "").strip() or None,
            category=category,
            brands=tuple(self.brand),
            price_min=self.price_min,
            price_max=self.price_max,
            min_rating=self.min_rating,
            in_stock=self.in_stock,
            sort=self.sort,
            limit=self.limit,
            cursor=self.cursor,
        )


class Anywhere(Within):
    category: Annotated[
        Annotated[Text, AfterValidator(_category_path)] | None,
        Field(
            max_length=MAX_PATH_LENGTH, description='names joined by "/"; in a name "~1" stands for "/", "~0" for "~"'
        ),
    ] = None


def _engine(request: Request) -> SearchEngine:
    engine: SearchEngine = request.app.state.search
    return engine


Engine = Annotated[SearchEngine, Depends(_engine)]


async def _each_once(request: Request) -> None:
    for name in request.query_params:
        if name != "brand" and len(request.query_params.getlist(name)) > 1:
            raise InvalidQuery(name[:100], "was given more than once")


@router.get("/v1/search", responses=problems(422, 503), dependencies=[Depends(_each_once)])
async def search(parameters: Annotated[Anywhere, Query()], engine: Engine) -> SearchResult:
    category = parse_path(parameters.category) if parameters.category else ()
    return await engine.search(parameters.query(category))


@router.get("/v1/categories", responses=problems(422, 503), dependencies=[Depends(only())])
async def categories(engine: Engine) -> Categories:
    """The tree of the categories that products are in; each counts those below it too."""
    return tree(await engine.categories())


@router.get("/v1/categories/{path:path}", responses=problems(404, 422, 503), dependencies=[Depends(_each_once)])
async def category(
    path: Annotated[str, Path(description='as in the tree: names joined by "/"', max_length=MAX_PATH_LENGTH)],
    parameters: Annotated[Within, Query()],
    engine: Engine,
) -> SearchResult:
    """The products of one category and all below it, to be narrowed, sorted and paged like a search."""
    try:
        names = parse_path(_without_nul(path))
    except ValueError as error:
        raise NotFound("category", path) from error
    if not await engine.has_category(names):
        raise NotFound("category", path)
    return await engine.search(parameters.query(names))
