"""One search is one statement: a page of products, all facets and the total, of the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING
from typing import Any, Final

from psycopg import sql
from psycopg.sql import SQL, Composable, Composed

from queryside.search.cursor import Cursor
from queryside.search.facets import MAX_FACET_VALUES, PRICE_BOUNDS
from queryside.search.query import SearchQuery
from queryside.search.words import Words

_WHOLE: Final = SQL("websearch_to_tsquery('search.shop', %(whole)s)")
_STEM: Final = SQL("to_tsquery('search.shop', %(last_prefix)s)")
_LETTERS: Final = SQL("to_tsquery('search.words', %(last_prefix)s)")
# The letters too, since the stem of what is typed so far need not begin the word's stem; once where they are equal.
# A word that search leaves out ("the") begins nothing. Postgres works all this out while planning.
_BEGINNING: Final = SQL(
    "CASE WHEN numnode({stem}) = 0 THEN {stem} WHEN {stem} = {letters} THEN {stem} ELSE {stem} || {letters} END"
).format(stem=_STEM, letters=_LETTERS)
# The last word as a whole too: products that have it come before those that have a longer one.
_BEGINNING_RANKED: Final = SQL("{stem} || to_tsquery('search.shop', %(last)s)").format(stem=_STEM)

# Ascending in every sort order, so that one comparison serves all cursors.
_KEYS: Final[dict[str, SQL]] = {
    "price_asc": SQL("p.price_minor"),
    "price_desc": SQL("-p.price_minor"),
    "rating": SQL("-(coalesce(p.rating_hundredths, -1) * 2147483648 + least(p.review_count, 2147483647))"),
    "newest": SQL("-p.added_at_microseconds"),
    "bestselling": SQL("-p.units_sold"),
}
# Thousandths of rank, then units sold.
_RELEVANCE: Final = SQL("-((ts_rank(v.vector, {ranked}) * 1000)::bigint * 1048576 + least(p.units_sold, 1048575))")

# A product that misses one filter still counts in that filter's facet, and only there: `misses` has a bit per filter.
# Matching and ranking words is dear: that is done once and kept. Without words, two scans are cheaper than keeping one.
_SEARCH: Final = SQL("""
WITH found AS (
    SELECT p.id, p.sku, p.category_id, p.brand_id, p.price_minor, p.rating_hundredths, {key} AS key, {misses} AS misses
      FROM {source}
     WHERE p.listed AND {conditions}
), hits AS {materialized} (
    SELECT * FROM found WHERE {at_most_one_miss}
), counts AS MATERIALIZED (
    SELECT category_id, brand_id, price_range, stars, count(*) AS count, count(*) FILTER (WHERE misses = 0) AS total,
           grouping(category_id, brand_id, price_range, stars) AS over
      FROM (SELECT misses, {category_id} AS category_id, {brand_id} AS brand_id, {price_range} AS price_range,
                   {stars} AS stars
              FROM hits) facets
     GROUP BY GROUPING SETS ((category_id), (brand_id), (price_range), (stars), ())
), page AS (
    SELECT id, key, sku FROM {page_source}
     WHERE {after}
     ORDER BY key, sku LIMIT %(limit)s
)
SELECT json_build_object(
    'total', (SELECT total FROM counts WHERE over = 15),
    'products', (SELECT coalesce(json_agg(json_build_object(
            'key', page.key,
            'sku', p.sku,
            'title', d.title,
            'brand', d.brand,
            'category', d.category,
            'price_minor', p.price_minor,
            'currency', p.currency,
            'images', d.images,
            'rating_hundredths', p.rating_hundredths,
            'review_count', p.review_count,
            'is_service', p.is_service,
            'available', (SELECT coalesce(sum(s.on_hand - s.reserved), 0)::bigint
                            FROM search.stock s WHERE s.sku = p.sku)
        ) ORDER BY page.key, page.sku), '[]')
        FROM page JOIN search.products p USING (id) JOIN search.documents d USING (id)),
    'categories', (SELECT coalesce(json_agg(json_build_array(path, count) ORDER BY count DESC, path), '[]')
        FROM (SELECT c.path[1:depth] AS path, sum(counts.count)::bigint AS count
                FROM counts JOIN search.categories c ON c.id = counts.category_id,
                     LATERAL generate_series(1, cardinality(c.path)) AS depth
               GROUP BY 1 ORDER BY count DESC, path LIMIT %(max_facet_values)s) most),
    'brands', (SELECT coalesce(json_agg(json_build_array(name, count) ORDER BY count DESC, name), '[]')
        FROM (SELECT b.name, counts.count FROM counts JOIN search.brands b ON b.id = counts.brand_id
               ORDER BY counts.count DESC, b.name LIMIT %(max_facet_values)s) most),
    'price_ranges', (SELECT coalesce(json_agg(json_build_array(price_range, count) ORDER BY price_range), '[]')
        FROM counts WHERE price_range IS NOT NULL),
    'stars', (SELECT coalesce(json_agg(json_build_array(stars, count) ORDER BY stars), '[]')
        FROM counts WHERE stars IS NOT NULL)
)::text
""")

_TRUE: Final = SQL("TRUE")
_FACETS: Final[dict[int, tuple[str, SQL]]] = {
    1: ("category_id", SQL("category_id")),
    2: ("brand_id", SQL("brand_id")),
    4: ("price_range", SQL("width_bucket(price_minor, %(price_bounds)s::bigint[])")),
    8: ("stars", SQL("rating_hundredths / 100")),
}
IN_CATEGORY: Final = SQL(
    "p.category_id = ANY(ARRAY(SELECT c.id FROM search.categories c"
    " WHERE c.path[1:cardinality(%(category)s::text[])] = %(category)s::text[]))"
)
_OF_BRANDS: Final = SQL(
    "p.brand_id = ANY(ARRAY(SELECT b.id FROM search.brands b WHERE b.name = ANY(%(brands)s::text[])))"
)


def search_statement(query: SearchQuery, words: Words | None, cursor: Cursor | None) -> tuple[Composed, dict[str, Any]]:
    """The statement and its parameters; one product more than the page holds tells that there is another page."""
    filters, parameters = _filters(query)
    parameters |= {
        "limit": query.limit + 1,
        "price_bounds": list(PRICE_BOUNDS),
        "max_facet_values": MAX_FACET_VALUES,
    }
    conditions: list[Composable] = [SQL("p.in_stock")] if query.in_stock else []
    key: Composable = _KEYS["bestselling" if query.sort == "relevance" else query.sort]
    after = _TRUE
    if cursor is not None:
        after = SQL("(key, sku) > (%(after_key)s::bigint, %(after_sku)s::text)")
        parameters |= {"after_key": cursor.key, "after_sku": cursor.sku}
    if words is None:
        source = SQL("search.products p")
        page_source: Composable = SQL(
            "(SELECT p.id, {key} AS key, p.sku FROM {source} WHERE {conditions}) listed"
        ).format(key=key, source=source, conditions=_all([SQL("p.listed"), *conditions, *filters.values()]))
    else:
        parameters |= word_parameters(words)
        source = SQL("search.vectors v JOIN search.products p USING (id)")
        conditions.append(has_words(words))
        page_source = SQL("(SELECT id, key, sku FROM hits WHERE misses = 0) matching")
        if query.sort == "relevance":
            key = _RELEVANCE.format(ranked=_words(words, _BEGINNING_RANKED))
    statement = _SEARCH.format(
        key=key,
        misses=_misses(filters),
        source=source,
        conditions=_all([SQL("p.listed"), *conditions]),
        materialized=SQL("NOT MATERIALIZED" if words is None else "MATERIALIZED"),
        at_most_one_miss=SQL("misses IN (0, 1, 2, 4, 8)") if len(filters) > 1 else _TRUE,
        page_source=page_source,
        after=after,
        **{name: _counted(expression, bit, filters) for bit, (name, expression) in _FACETS.items()},
    )
    return statement, parameters


def has_words(words: Words) -> Composed:
    """The condition on search.vectors v; its parameters are `word_parameters`."""
    return SQL("v.vector @@ ({words})").format(words=_words(words, _BEGINNING))


def word_parameters(words: Words) -> dict[str, Any]:
    if words.beginning is None:
        return {"whole": words.whole}
    last = quoted(words.beginning)
    return {"whole": words.whole, "last": last, "last_prefix": f"{last}:*"}


def quoted(word: str) -> str:
    """`word` as one operand of to_tsquery, whatever is in it."""
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def _words(words: Words, beginning: Composable) -> Composable:
    if words.beginning is None:
        return _WHOLE
    return SQL("({whole}) && ({beginning})").format(whole=_WHOLE, beginning=beginning)


def _filters(query: SearchQuery) -> tuple[dict[int, SQL], dict[str, Any]]:
    """The condition of each filter that is set, by its bit, and their parameters."""
    filters: dict[int, SQL] = {}
    parameters: dict[str, Any] = {}
    if query.category:
        filters[1] = IN_CATEGORY
        parameters["category"] = list(query.category)
    if query.brands:
        filters[2] = _OF_BRANDS
        parameters["brands"] = list(query.brands)
    if query.price_min is not None or query.price_max is not None:
        filters[4] = SQL("p.price_minor BETWEEN %(price_min)s AND %(price_max)s")
        parameters["price_min"] = query.price_min if query.price_min is not None else 0
        parameters["price_max"] = query.price_max if query.price_max is not None else 2**63 - 1
    if query.min_rating:
        filters[8] = SQL("coalesce(p.rating_hundredths >= %(min_rating_hundredths)s, FALSE)")
        parameters["min_rating_hundredths"] = int((query.min_rating * 100).to_integral_value(ROUND_CEILING))
    return filters, parameters


def _misses(filters: Mapping[int, SQL]) -> Composable:
    bits = [
        SQL("CASE WHEN {condition} THEN 0 ELSE {bit} END").format(condition=condition, bit=sql.Literal(bit))
        for bit, condition in filters.items()
    ]
    return SQL(" + ").join(bits) if bits else SQL("0")


def _counted(value: SQL, bit: int, filters: Mapping[int, SQL]) -> Composable:
    """`value` where the product misses no filter but the facet's own; else NULL, which no facet shows."""
    if not filters.keys() - {bit}:
        return value
    return SQL("CASE WHEN misses IN (0, {bit}) THEN {value} END").format(bit=sql.Literal(bit), value=value)


def _all(conditions: Sequence[Composable]) -> Composed:
    return SQL(" AND ").join(conditions)
