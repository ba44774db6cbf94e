"""One row per SKU: a conditional UPDATE and the reservation's row, in one statement, which is its own transaction."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from bench.apart import Begin
from bench.load import Sale
from bench.references import row_reservations

# More connections only queue for the row inside Postgres. From 2 to 32 the differences were within the noise.
POOL_SIZE_CONNECTIONS: Final = 8

CREATE: Final = """
CREATE SCHEMA update_row;
CREATE TABLE update_row.stock (
    sku text PRIMARY KEY,
    available bigint NOT NULL CHECK (available >= 0)
) WITH (fillfactor = 10)
"""
RESERVE: Final = """
WITH given (sku, reservation_id, expires_at, reserved_at, actor, causation_id, correlation_id) AS (
    VALUES (%b::text, %b::uuid, %b::timestamptz, %b::timestamptz, %b::text, %b::text, %b::text)
), taken AS (
    UPDATE update_row.stock SET available = available - 1
    FROM given WHERE stock.sku = given.sku AND available >= 1
    RETURNING stock.sku
)
INSERT INTO update_row.reservations
SELECT reservation_id, given.sku, 'main', 1, expires_at, reserved_at, actor, causation_id, correlation_id
FROM given JOIN taken ON taken.sku = given.sku
RETURNING reservation_id
"""


def prepare(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(CREATE.encode())
        connection.execute(row_reservations.CREATE_RESERVATIONS.format(schema="update_row").encode())


def stock(url: str, sku: str, units: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO update_row.stock VALUES (%s, %s)", (sku, units))


def contend(begin: Begin, _number: int, url: str, sku: str, warm_up_sku: str, clients_count: int) -> Sale:
    return row_reservations.sell(begin, url, sku, warm_up_sku, clients_count, RESERVE, POOL_SIZE_CONNECTIONS)


def reserved(url: str, sku: str) -> int:
    """Raises AssertionError when the row and the reservations do not agree."""
    units = row_reservations.reserved(url, "update_row", sku)
    with psycopg.connect(url) as connection:
        row: Any = connection.execute("SELECT available FROM update_row.stock WHERE sku = %s", (sku,)).fetchone()
    if row[0] < 0:
        raise AssertionError(f"{row[0]} units are available")
    return units
