"""One row per unit: take one that nobody else holds, and record the reservation, in one statement."""

from __future__ import annotations

from typing import Final

import psycopg

from bench.apart import Begin
from bench.load import Sale
from bench.references import row_reservations

# From 8 to 32 the differences were within the noise; fewer were slower.
POOL_SIZE_CONNECTIONS: Final = 16

CREATE: Final = """
CREATE SCHEMA skip_locked;
CREATE TABLE skip_locked.units (unit_id bigserial PRIMARY KEY, sku text NOT NULL);
CREATE INDEX units_sku_idx ON skip_locked.units (sku)
"""
RESERVE: Final = """
WITH given (sku, reservation_id, expires_at, reserved_at, actor, causation_id, correlation_id) AS (
    VALUES (%b::text, %b::uuid, %b::timestamptz, %b::timestamptz, %b::text, %b::text, %b::text)
), taken AS (
    DELETE FROM skip_locked.units WHERE unit_id = (
        SELECT unit_id FROM skip_locked.units JOIN given USING (sku) LIMIT 1 FOR UPDATE OF units SKIP LOCKED
    )
    RETURNING sku
)
INSERT INTO skip_locked.reservations
SELECT reservation_id, given.sku, 'main', 1, expires_at, reserved_at, actor, causation_id, correlation_id
FROM given JOIN taken ON taken.sku = given.sku
RETURNING reservation_id
"""


def prepare(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(CREATE.encode())
        connection.execute(row_reservations.CREATE_RESERVATIONS.format(schema="skip_locked").encode())


def stock(url: str, sku: str, units: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO skip_locked.units (sku) SELECT %s FROM generate_series(1, %s)", (sku, units))
        connection.execute("VACUUM ANALYZE skip_locked.units")


def contend(begin: Begin, _number: int, url: str, sku: str, warm_up_sku: str, clients_count: int) -> Sale:
    return row_reservations.sell(begin, url, sku, warm_up_sku, clients_count, RESERVE, POOL_SIZE_CONNECTIONS)


def reserved(url: str, sku: str) -> int:
    return row_reservations.reserved(url, "skip_locked", sku)
