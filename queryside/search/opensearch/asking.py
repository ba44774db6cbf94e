"""One search is one request: a page of products, all facets and the total, of the same moment."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING
from itertools import pairwise
from typing import Any, Final

from projections.search.opensearch_index import PATH_SEPARATOR, POPULARITY_LIMIT_UNITS
from queryside.search.cursor import Cursor
from queryside.search.facets import MAX_FACET_VALUES, PRICE_BOUNDS
from queryside.search.opensearch.matching import Query
from queryside.search.query import SearchQuery, Sort

LISTED: Final[Query] = {"term": {"listed": True}}
SHOWN: Final = [
    "sku", "title", "brand", "category", "price_minor", "currency", "images", "rating_hundredths", "review_count",
    "is_service", "available",
]  # fmt: skip

# The figure by which products are sorted, and whether the highest comes first.
_ORDERS: Final[dict[Sort, tuple[str, bool]]] = {
    "price_asc": ("price_minor", False),
    "price_desc": ("price_minor", True),
    "rating": ("rating_order", True),
    "newest": ("added_at_microseconds", True),
    "bestselling": ("units_sold", True),
}
_POPULARITIES: Final = POPULARITY_LIMIT_UNITS + 1
_BOUNDS: Final = (None, *PRICE_BOUNDS, None)
_MOST_FREQUENT: Final = {"size": MAX_FACET_VALUES, "order": [{"_count": "desc"}, {"_key": "asc"}]}
_FACETS: Final[dict[str, Query]] = {
    "category": {"terms": {"field": "paths", **_MOST_FREQUENT}},
    "brand": {"terms": {"field": "brand.name", **_MOST_FREQUENT}},
    "price": {
        "range": {
            "field": "price_minor",
            "ranges": [
                {"key": str(number)} | {name: at for name, at in (("from", low), ("to", high)) if at is not None}
                for number, (low, high) in enumerate(pairwise(_BOUNDS))
            ],
        }
    },
    "rating": {
        "range": {
            "field": "rating_hundredths",
            "ranges": [
                {"key": str(stars), "from": 100 * stars} | ({"to": 100 * stars + 100} if stars < 5 else {})
                for stars in range(1, 6)
            ],
        }
    },
}  # fmt: skip


def search_body(query: SearchQuery, words: Query | None, cursor: Cursor | None) -> dict[str, Any]:
    """One product more than the page holds tells that there is another page."""
    filters = _filters(query)
    always = [LISTED, *([{"term": {"in_stock": True}}] if query.in_stock else [])]
    ranked = words is not None and query.sort == "relevance"
    matching = {"must" if ranked else "filter": [words]} if words is not None else {}
    body: dict[str, Any] = {
        "size": query.limit + 1,
        "track_total_hits": True,
        "_source": SHOWN,
        # What misses one filter still counts in the facet of that filter, and only there.
        "query": {"bool": {**matching, "filter": [*always, *matching.get("filter", [])]}},
        "post_filter": {"bool": {"filter": list(filters.values())}},
        "aggs": {name: _facet(name, filters) for name in _FACETS},
        "sort": _sort(query.sort, ranked),
    }
    if cursor is not None:
        body["search_after"] = [*_after(cursor.key, query.sort, ranked), cursor.sku]
    return body


def key_of(sorted_by: list[Any], query: SearchQuery, ranked: bool) -> int:
    """The key of a cursor, ascending in every order, from the values by which a hit was sorted."""
    if ranked:
        score, popularity = int(sorted_by[0]), int(sorted_by[1])
        return -(score * _POPULARITIES + popularity)
    _, highest_first = _order(query.sort)
    value = int(sorted_by[0])
    return -value if highest_first else value


def in_category(path: tuple[str, ...]) -> Query:
    return {"term": {"paths": PATH_SEPARATOR.join(path)}}


def _order(sort: Sort) -> tuple[str, bool]:
    return _ORDERS["bestselling" if sort == "relevance" else sort]


def _sort(sort: Sort, ranked: bool) -> list[Any]:
    if ranked:
        return [{"_score": "desc"}, {"popularity": "desc"}, {"sku": "asc"}]
    name, highest_first = _order(sort)
    return [{name: "desc" if highest_first else "asc"}, {"sku": "asc"}]


def _after(key: int, sort: Sort, ranked: bool) -> list[int]:
    if ranked:
        return list(divmod(-key, _POPULARITIES))
    return [-key if _order(sort)[1] else key]


def _facet(name: str, filters: Mapping[str, Query]) -> dict[str, Any]:
    others = [condition for other, condition in filters.items() if other != name]
    return {"filter": {"bool": {"filter": others}}, "aggs": {"values": _FACETS[name]}}


def _filters(query: SearchQuery) -> dict[str, Query]:
    filters: dict[str, Query] = {}
    if query.category:
        filters["category"] = in_category(query.category)
    if query.brands:
        filters["brand"] = {"terms": {"brand.name": sorted(set(query.brands))}}
    if query.price_min is not None or query.price_max is not None:
        bounds = {"gte": query.price_min or 0} | ({} if query.price_max is None else {"lte": query.price_max})
        filters["price"] = {"range": {"price_minor": bounds}}
    if query.min_rating:
        hundredths = int((query.min_rating * 100).to_integral_value(ROUND_CEILING))
        filters["rating"] = {"range": {"rating_hundredths": {"gte": hundredths}}}
    return filters
