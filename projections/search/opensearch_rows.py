"""What changed in the search tables, as OpenSearch takes it: id, revision and document, the oldest change first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from projections.search.opensearch_index import POPULARITY_LIMIT_UNITS

PAGE_LIMIT_ROWS: Final = 500

_STANDING: Final = """
SELECT (SELECT tables_id::text FROM search.identity),
       (SELECT coalesce(min(position), 0) FROM search.checkpoint WHERE projection = 'search'),
       (SELECT coalesce(max(revision), 0) FROM search.changes),
       (SELECT coalesce(max(revision), 0) FROM search.suggestions)
"""
# What nobody may find leaves no more of itself than the mark that it is hidden.
_PRODUCTS: Final = f"""
SELECT c.id, c.revision, CASE WHEN p.listed THEN json_build_object(
           'listed', TRUE,
           'sku', p.sku,
           'title', d.title,
           'brand', d.brand,
           'category', d.category,
           'description', left(d.description, 50000),
           'path', array_to_string(d.category, chr(31)),
           'paths', ARRAY(SELECT array_to_string(d.category[1:depth], chr(31))
                            FROM generate_series(1, cardinality(d.category)) AS depth),
           'lexemes', ARRAY(SELECT search.lexemes(d.title, d.brand, d.category)),
           'price_minor', p.price_minor,
           'currency', p.currency,
           'images', d.images,
           'rating_hundredths', p.rating_hundredths,
           'review_count', p.review_count,
           'rating_order', coalesce(p.rating_hundredths, -1) * 2147483648 + least(p.review_count, 2147483647),
           'added_at_microseconds', p.added_at_microseconds,
           'units_sold', p.units_sold,
           'popularity', greatest(0, least(p.units_sold, {POPULARITY_LIMIT_UNITS})),
           'in_stock', p.in_stock,
           'is_service', p.is_service,
           'available', (SELECT coalesce(sum(s.on_hand - s.reserved), 0)::bigint
                           FROM search.stock s WHERE s.sku = p.sku)
       ) ELSE json_build_object('listed', FALSE, 'sku', p.sku) END::text
  FROM search.changes c JOIN search.products p USING (id) LEFT JOIN search.documents d USING (id)
 WHERE c.revision > %s ORDER BY c.revision LIMIT %s
"""
_SUGGESTIONS: Final = """
SELECT id, revision, json_build_object('text', text, 'products', products, 'units_sold', units_sold)::text
  FROM search.suggestions
 WHERE revision > %s ORDER BY revision LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the tables are: who they are, what they hold of the log, and the revision of their last changes."""

    tables_id: str
    position: int
    products_revision: int
    suggestions_revision: int


@dataclass(frozen=True, slots=True)
class Row:
    """`document` is JSON of one line."""

    id: int
    revision: int
    document: str


async def standing(connection: AsyncConnection[Any]) -> Standing:
    """What is read afterwards is at least as new. Raises psycopg.Error."""
    row = await (await connection.execute(_STANDING)).fetchone()
    assert row is not None
    return Standing(*row)


async def changed_products(connection: AsyncConnection[Any], after_revision: int) -> Sequence[Row]:
    """At most PAGE_LIMIT_ROWS. Raises psycopg.Error."""
    return await _rows(connection, _PRODUCTS, after_revision)


async def changed_suggestions(connection: AsyncConnection[Any], after_revision: int) -> Sequence[Row]:
    """At most PAGE_LIMIT_ROWS. Raises psycopg.Error."""
    return await _rows(connection, _SUGGESTIONS, after_revision)


async def _rows(connection: AsyncConnection[Any], statement: str, after_revision: int) -> Sequence[Row]:
    cursor = await connection.execute(statement.encode(), [after_revision, PAGE_LIMIT_ROWS])
    return [Row(*row) for row in await cursor.fetchall()]
