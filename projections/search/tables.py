"""Rows in and out of the search tables: one statement per table and batch, whatever the size of the batch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row, dict_row

from domain.values import Money, ProductDetails
from projections.search.listing import Listing
from projections.search.sale import Sale
from projections.search.state import Keys, Place, State
from projections.stock_level import StockLevel

_NUL: Final = re.compile(r"(\\\\)|\\u0000")
_Key = TypeVar("_Key")
_Row = TypeVar("_Row")

_LISTINGS: Final = """
SELECT p.sku, p.version, p.listed, p.price_minor, p.currency, p.is_service, p.rating_hundredths, p.review_count,
       p.added_at_microseconds, d.title, d.category, d.description, d.brand, d.attributes, d.images, d.seller_id
  FROM search.products p JOIN search.documents d USING (id)
 WHERE p.sku = ANY(%s)
"""
_LEVELS: Final = """
SELECT sku, warehouse_id, version, on_hand, reserved
  FROM search.stock JOIN unnest(%s::text[], %s::text[]) AS wanted (sku, warehouse_id) USING (sku, warehouse_id)
"""
_SALES: Final = "SELECT order_id, version, status, units, returns, returned FROM search.orders WHERE order_id = ANY(%s)"

_SAVE_LEVELS: Final = """
INSERT INTO search.stock (sku, warehouse_id, version, on_hand, reserved)
SELECT * FROM jsonb_to_recordset(%s)
           AS r (sku text, warehouse_id text, version bigint, on_hand bigint, reserved bigint)
    ON CONFLICT (sku, warehouse_id)
    DO UPDATE SET version = excluded.version, on_hand = excluded.on_hand, reserved = excluded.reserved
"""
_SAVE_SALES: Final = """
INSERT INTO search.orders (order_id, version, status, units, returns, returned)
SELECT * FROM jsonb_to_recordset(%s)
           AS r (order_id uuid, version bigint, status text, units jsonb, returns jsonb, returned text[])
    ON CONFLICT (order_id)
    DO UPDATE SET version = excluded.version, status = excluded.status,
                  returns = excluded.returns, returned = excluded.returned
"""
_SAVE_CATEGORIES: Final = """
INSERT INTO search.categories (path)
SELECT DISTINCT r.category FROM jsonb_to_recordset(%s) AS r (category text[])
 WHERE cardinality(r.category) > 0 AND NOT EXISTS (SELECT FROM search.categories c WHERE c.path = r.category)
"""
_SAVE_BRANDS: Final = """
INSERT INTO search.brands (name)
SELECT DISTINCT r.brand FROM jsonb_to_recordset(%s) AS r (brand text)
 WHERE r.brand IS NOT NULL AND NOT EXISTS (SELECT FROM search.brands b WHERE b.name = r.brand)
"""
_SAVE_PRODUCTS: Final = """
INSERT INTO search.products AS p (sku, version, listed, price_minor, currency, is_service, rating_hundredths,
                                  review_count, added_at_microseconds, category_id, brand_id)
SELECT r.sku, r.version, r.listed, r.price_minor, r.currency, r.is_service, r.rating_hundredths,
       r.review_count, r.added_at_microseconds, c.id, b.id
  FROM jsonb_to_recordset(%s)
           AS r (sku text, version bigint, listed boolean, price_minor bigint, currency text, is_service boolean,
                 rating_hundredths smallint, review_count bigint, added_at_microseconds bigint,
                 category text[], brand text)
  LEFT JOIN search.categories c ON c.path = r.category
  LEFT JOIN search.brands b ON b.name = r.brand
    ON CONFLICT (sku)
    DO UPDATE SET version = excluded.version, listed = excluded.listed, price_minor = excluded.price_minor,
                  currency = excluded.currency, is_service = excluded.is_service,
                  rating_hundredths = excluded.rating_hundredths, review_count = excluded.review_count,
                  added_at_microseconds = excluded.added_at_microseconds,
                  category_id = excluded.category_id, brand_id = excluded.brand_id
"""
_SAVE_DOCUMENTS: Final = """
INSERT INTO search.documents (id, title, brand, category, description, images, attributes, seller_id)
SELECT p.id, r.title, r.brand, r.category, r.description, r.images, r.attributes, r.seller_id
  FROM jsonb_to_recordset(%s)
           AS r (sku text, title text, brand text, category text[], description text, images text[], attributes jsonb,
                 seller_id text)
  JOIN search.products p USING (sku)
    ON CONFLICT (id)
    DO UPDATE SET title = excluded.title, brand = excluded.brand, category = excluded.category,
                  description = excluded.description, images = excluded.images, attributes = excluded.attributes,
                  seller_id = excluded.seller_id
"""
_SAVE_VECTORS: Final = """
INSERT INTO search.vectors (id, vector)
SELECT p.id, CASE WHEN p.listed THEN search.vector(p.sku, d.title, d.brand, d.category, d.description) END
  FROM search.products p JOIN search.documents d USING (id)
 WHERE p.sku = ANY(%s)
    ON CONFLICT (id) DO UPDATE SET vector = excluded.vector
"""
_LEAVE_LEXICON: Final = """
UPDATE search.lexicon l SET documents = l.documents - gone.documents
  FROM (SELECT word, count(*) AS documents
          FROM search.products p JOIN search.documents d USING (id),
               LATERAL search.lexemes(d.title, d.brand, d.category) AS word
         WHERE p.sku = ANY(%s) AND p.listed
         GROUP BY word) gone
 WHERE l.word = gone.word
"""
_ENTER_LEXICON: Final = """
INSERT INTO search.lexicon AS l (word, documents)
SELECT word, count(*)
  FROM search.products p JOIN search.documents d USING (id),
       LATERAL search.lexemes(d.title, d.brand, d.category) AS word
 WHERE p.sku = ANY(%s) AND p.listed
 GROUP BY word
    ON CONFLICT (word) DO UPDATE SET documents = l.documents + excluded.documents
"""
_LEAVE_SUGGESTIONS: Final = """
UPDATE search.suggestions s
   SET products = s.products - gone.products, units_sold = s.units_sold - gone.units_sold,
       revision = nextval('search.revision')
  FROM (SELECT text, count(*) AS products, sum(p.units_sold) AS units_sold
          FROM search.products p JOIN search.documents d USING (id),
               LATERAL search.texts(d.title, d.brand, d.category) AS text
         WHERE p.sku = ANY(%s) AND p.listed
         GROUP BY text) gone
 WHERE s.text = gone.text
"""
_ENTER_SUGGESTIONS: Final = """
INSERT INTO search.suggestions AS s (text, products, units_sold, revision)
SELECT text, products, units_sold, nextval('search.revision')
  FROM (SELECT text, count(*) AS products, sum(p.units_sold) AS units_sold
          FROM search.products p JOIN search.documents d USING (id),
               LATERAL search.texts(d.title, d.brand, d.category) AS text
         WHERE p.sku = ANY(%s) AND p.listed
         GROUP BY text) entering
    ON CONFLICT (text)
    DO UPDATE SET products = s.products + excluded.products, units_sold = s.units_sold + excluded.units_sold,
                  revision = excluded.revision
"""
_CLEAR_LEXICON: Final = "DELETE FROM search.lexicon WHERE documents <= 0"
_SAVE_UNITS_SOLD: Final = """
INSERT INTO search.products AS p (sku, units_sold)
SELECT * FROM unnest(%s::text[], %s::bigint[])
    ON CONFLICT (sku) DO UPDATE SET units_sold = p.units_sold + excluded.units_sold
"""
_SAVE_POPULARITY: Final = """
UPDATE search.suggestions s
   SET units_sold = s.units_sold + sold.units, revision = nextval('search.revision')
  FROM (SELECT text, sum(sale.units)::bigint AS units
          FROM unnest(%s::text[], %s::bigint[]) AS sale (sku, units)
          JOIN search.products p USING (sku) JOIN search.documents d USING (id),
               LATERAL search.texts(d.title, d.brand, d.category) AS text
         WHERE p.listed
         GROUP BY text) sold
 WHERE s.text = sold.text
"""
_NOTE_CHANGES: Final = """
INSERT INTO search.changes (id, revision)
SELECT id, nextval('search.revision') FROM search.products WHERE sku = ANY(%s)
    ON CONFLICT (id) DO UPDATE SET revision = excluded.revision
"""
_SAVE_IN_STOCK: Final = """
UPDATE search.products p SET in_stock = now.in_stock
  FROM (SELECT w.sku, bool_or(coalesce(w.is_service, false)) OR coalesce(sum(s.on_hand - s.reserved), 0) > 0 AS in_stock
          FROM (SELECT sku, is_service FROM search.products WHERE sku = ANY(%s)) w
          LEFT JOIN search.stock s USING (sku)
         GROUP BY w.sku) now
 WHERE p.sku = now.sku AND p.in_stock <> now.in_stock
"""


async def load(connection: AsyncConnection[Any], keys: Keys) -> State:
    """The rows of `keys` that there are."""
    state = State()
    async with connection.pipeline():
        if keys.skus:
            listings = connection.cursor(row_factory=dict_row)
            await listings.execute(_LISTINGS, [list(keys.skus)])
            state.listings = {row["sku"]: _listing(row) async for row in listings}
        if keys.places:
            levels = connection.cursor(row_factory=dict_row)
            skus, warehouse_ids = zip(*keys.places, strict=True)
            await levels.execute(_LEVELS, [list(skus), list(warehouse_ids)])
            state.levels = {(row.pop("sku"), row.pop("warehouse_id")): StockLevel(**row) async for row in levels}
        if keys.order_ids:
            sales = connection.cursor(row_factory=class_row(Sale))
            await sales.execute(_SALES, [list(keys.order_ids)])
            state.sales = {sale.order_id: sale async for sale in sales}
    return state


async def save(connection: AsyncConnection[Any], before: State, after: State) -> None:
    """Write what differs between the two. `before` is what `load` gave, in the same transaction."""
    listings = list(_changed(before.listings, after.listings).values())
    levels = _changed(before.levels, after.levels)
    sales = list(_changed(before.sales, after.sales).values())
    described = [listing for listing in listings if _is_described_anew(before.listings.get(listing.sku), listing)]
    async with connection.pipeline():
        if listings:
            await _save_listings(connection, listings, described)
        if levels:
            await connection.execute(
                _SAVE_LEVELS, [_json([_level_row(place, level) for place, level in levels.items()])]
            )
        sold: Collection[str] = ()
        if sales:
            await connection.execute(_SAVE_SALES, [_json(sales)])
            sold = await _save_units_sold(connection, before, sales)
        if skus := {listing.sku for listing in listings} | {sku for sku, _ in levels}:
            await connection.execute(_SAVE_IN_STOCK, [list(skus)])
        if changed := skus.union(sold):
            await connection.execute(_NOTE_CHANGES, [list(changed)])


async def _save_listings(
    connection: AsyncConnection[Any], listings: Iterable[Listing], described: Collection[Listing]
) -> None:
    rows = _json([_listing_row(listing) for listing in listings])
    skus = [listing.sku for listing in described]
    if described:
        await connection.execute(_LEAVE_LEXICON, [skus])
        await connection.execute(_LEAVE_SUGGESTIONS, [skus])
    await connection.execute(_SAVE_CATEGORIES, [rows])
    await connection.execute(_SAVE_BRANDS, [rows])
    await connection.execute(_SAVE_PRODUCTS, [rows])
    if described:
        await connection.execute(_SAVE_DOCUMENTS, [_json([_listing_row(listing) for listing in described])])
        await connection.execute(_SAVE_VECTORS, [skus])
        await connection.execute(_ENTER_LEXICON, [skus])
        await connection.execute(_ENTER_SUGGESTIONS, [skus])
        await connection.execute(_CLEAR_LEXICON)


async def _save_units_sold(connection: AsyncConnection[Any], before: State, sales: Iterable[Sale]) -> Collection[str]:
    """The SKUs whose figure changed."""
    units_sold: Counter[str] = Counter()
    for sale in sales:
        units_sold.update(sale.counted())
        if held := before.sales.get(sale.order_id):
            units_sold.subtract(held.counted())
    changed = {sku: units for sku, units in units_sold.items() if units}
    if changed:
        await connection.execute(_SAVE_UNITS_SOLD, [list(changed), list(changed.values())])
        await connection.execute(_SAVE_POPULARITY, [list(changed), list(changed.values())])
    return changed.keys()


def _changed(before: Mapping[_Key, _Row], after: Mapping[_Key, _Row]) -> dict[_Key, _Row]:
    return {key: row for key, row in after.items() if before.get(key) != row}


def _is_described_anew(before: Listing | None, after: Listing) -> bool:
    return before is None or before.details != after.details or before.listed != after.listed


def _listing(row: DictRow) -> Listing:
    return Listing(
        sku=row["sku"],
        version=row["version"],
        details=ProductDetails(
            title=row["title"],
            category=tuple(row["category"]),
            description=row["description"],
            brand=row["brand"],
            attributes=row["attributes"],
            images=tuple(row["images"]),
            seller_id=row["seller_id"],
            kind="service" if row["is_service"] else "goods",
        ),
        price=Money(row["price_minor"], row["currency"]),
        added_at_microseconds=row["added_at_microseconds"],
        listed=row["listed"],
        rating_hundredths=row["rating_hundredths"],
        review_count=row["review_count"],
    )


def _listing_row(listing: Listing) -> dict[str, object]:
    details = listing.details
    return {
        "sku": listing.sku,
        "version": listing.version,
        "listed": listing.listed,
        "price_minor": listing.price.amount,
        "currency": listing.price.currency,
        "is_service": details.kind == "service",
        "rating_hundredths": listing.rating_hundredths,
        "review_count": listing.review_count,
        "added_at_microseconds": listing.added_at_microseconds,
        "title": details.title,
        "brand": details.brand,
        "category": details.category,
        "description": details.description,
        "images": details.images,
        "attributes": details.attributes,
        "seller_id": details.seller_id,
    }


def _level_row(place: Place, level: StockLevel) -> dict[str, object]:
    sku, warehouse_id = place
    return {
        "sku": sku,
        "warehouse_id": warehouse_id,
        "version": level.version,
        "on_hand": level.on_hand,
        "reserved": level.reserved,
    }


def _json(rows: object) -> str:
    # Postgres holds no NUL in text; in a title it means nothing.
    return _NUL.sub(lambda found: found[1] or " ", msgspec.json.encode(rows).decode())
