"""The tables of the provider's books, and how books of an older shop are carried over to them."""

from __future__ import annotations

import sqlite3
from typing import Final

# 0: money was taken in one step. 1: it is authorised, and captured.
VERSION: Final = 1

# `errored` is a first attempt that failed on purpose: to the outside the payment is not there.
_PAYMENTS: Final = """
CREATE TABLE {name} (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    order_id TEXT,
    amount INTEGER,
    currency TEXT,
    status TEXT NOT NULL
        CHECK (status IN ('authorised', 'captured', 'declined', 'cancelled', 'pending', 'processing', 'errored')),
    reference TEXT NOT NULL,
    reason TEXT,
    due_at REAL,
    created_at REAL NOT NULL,
    capture TEXT NOT NULL DEFAULT 'now' CHECK (capture IN ('now', 'silent', 'fails_first', 'refused')),
    captured_amount INTEGER NOT NULL DEFAULT 0,
    refunded_amount INTEGER NOT NULL DEFAULT 0,
    CHECK (captured_amount BETWEEN 0 AND CASE WHEN status = 'captured' THEN amount ELSE 0 END),
    CHECK (refunded_amount BETWEEN 0 AND captured_amount)
)
"""
_DUE: Final = "CREATE INDEX payments_due ON payments (due_at) WHERE status IN ('pending', 'processing')"
_OTHERS: Final = (
    """
    CREATE TABLE refunds (
        key TEXT NOT NULL REFERENCES payments (key),
        refund_key TEXT NOT NULL,
        amount INTEGER NOT NULL,
        currency TEXT NOT NULL,
        reference TEXT NOT NULL,
        created_at REAL NOT NULL,
        PRIMARY KEY (key, refund_key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE webhooks (
        event_id TEXT PRIMARY KEY,
        key TEXT NOT NULL REFERENCES payments (key),
        body BLOB NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'abandoned')),
        attempts_count INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL NOT NULL
    )
    """,
    "CREATE INDEX webhooks_due ON webhooks (next_attempt_at) WHERE state = 'waiting'",
)
_CREATE: Final = (_PAYMENTS.format(name="payments"), _DUE, *_OTHERS)

# The other tables name `payments`; under this order of steps they mean the new one afterwards.
_CARRY_OVER: Final = (
    _PAYMENTS.format(name="carried_payments"),
    """
    INSERT INTO carried_payments
        (position, key, order_id, amount, currency, status, reference, reason, due_at, created_at,
         captured_amount, refunded_amount)
    SELECT position, key, order_id, amount, currency, CASE status WHEN 'charged' THEN 'captured' ELSE status END,
        reference, reason, due_at, created_at, CASE status WHEN 'charged' THEN amount ELSE 0 END, refunded_amount
    FROM payments ORDER BY position
    """,
    "DROP TABLE payments",
    "ALTER TABLE carried_payments RENAME TO payments",
    _DUE,
    # What is still to be delivered has to be understood by who takes it today.
    """
    UPDATE webhooks SET body = CAST(json_set(
        CAST(body AS TEXT),
        '$.type', 'payment.captured',
        '$.captured', json_extract(CAST(body AS TEXT), '$.amount')
    ) AS BLOB)
    WHERE state = 'waiting' AND json_extract(CAST(body AS TEXT), '$.type') = 'payment.charged'
    """,
)


class OfALaterShop(Exception):
    """The books were written by a later version, whose tables this one does not know."""


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables, or carry older ones over, in one transaction. `db` begins its transactions itself.

    Raises OfALaterShop, sqlite3.DatabaseError; the file is then as it was.
    """
    db.execute("PRAGMA foreign_keys = OFF")  # a table that others name is put in place of another
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise OfALaterShop(f"its tables are of version {version}, and {VERSION} is the last one known here")
        if version < VERSION:
            is_new = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'payments'").fetchone() is None
            for statement in _CREATE if is_new else _CARRY_OVER:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    db.execute("PRAGMA foreign_keys = ON")
