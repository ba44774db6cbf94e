"""Books as a shop kept them that took money in one step, and what becomes of them when they are opened now."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from counterfoil.payment_provider.books import Books, BooksDamaged, UnknownPayment
from counterfoil.payment_provider.tokens import plan_for
from counterfoil.payment_provider.wire import Amount, AuthoriseRequest, RefundRequest, Sum

# As the versions before this one made them. Not to be changed: such files are out there.
AS_IT_WAS = """
CREATE TABLE payments (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    order_id TEXT,
    amount INTEGER,
    currency TEXT,
    status TEXT NOT NULL
        CHECK (status IN ('charged', 'declined', 'cancelled', 'pending', 'processing', 'errored')),
    reference TEXT NOT NULL,
    reason TEXT,
    due_at REAL,
    created_at REAL NOT NULL,
    refunded_amount INTEGER NOT NULL DEFAULT 0,
    CHECK (refunded_amount BETWEEN 0 AND CASE WHEN status = 'charged' THEN amount ELSE 0 END)
);
CREATE INDEX payments_due ON payments (due_at) WHERE status IN ('pending', 'processing');
CREATE TABLE refunds (
    key TEXT NOT NULL REFERENCES payments (key),
    refund_key TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    reference TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (key, refund_key)
) WITHOUT ROWID;
CREATE TABLE webhooks (
    event_id TEXT PRIMARY KEY,
    key TEXT NOT NULL REFERENCES payments (key),
    body BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'abandoned')),
    attempts_count INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL NOT NULL
);
CREATE INDEX webhooks_due ON webhooks (next_attempt_at) WHERE state = 'waiting';
INSERT INTO payments
    (position, key, order_id, amount, currency, status, reference, reason, due_at, created_at, refunded_amount)
VALUES
    (1, 'paid', 'o1', 1999, 'GBP', 'charged', 'pay_1', NULL, NULL, 1000.0, 500),
    (2, 'free', 'o2', 0, 'GBP', 'charged', 'pay_2', NULL, NULL, 1001.0, 0),
    (3, 'declined', 'o3', 1, 'GBP', 'declined', 'pay_3', 'card_declined', NULL, 1002.0, 0),
    (4, 'gone', NULL, NULL, NULL, 'cancelled', 'pay_4', NULL, NULL, 1003.0, 0),
    (6, 'slow', 'o6', 6, 'GBP', 'processing', 'pay_6', NULL, 2000.0, 1004.0, 0),
    (7, 'hook', 'o7', 7, 'EUR', 'pending', 'pay_7', NULL, 2000.0, 1005.0, 0),
    (8, 'failed', 'o8', 8, 'GBP', 'errored', 'pay_8', NULL, NULL, 1006.0, 0);
INSERT INTO refunds VALUES ('paid', 'r', 500, 'GBP', 'ref_1', 1010.0);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "books.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(AS_IT_WAS)
        for state, kind in (("waiting", "charged"), ("delivered", "charged"), ("waiting", "cancelled")):
            body = {
                "event_id": f"{state}-{kind}",
                "type": f"payment.{kind}",
                "key": "paid",
                "amount": {"amount": 1999, "currency": "GBP"},
            }
            db.execute(
                "INSERT INTO webhooks (event_id, key, body, state, next_attempt_at) VALUES (?, 'paid', ?, ?, 0)",
                (body["event_id"], json.dumps(body).encode(), state),
            )
    db.close()
    return path


def test_what_was_charged_is_captured_and_the_rest_is_as_it_was(path: Path) -> None:
    books = Books(path)

    assert {
        payment.key: (payment.status, payment.captured_amount, payment.refunded_amount, payment.reference)
        for payment in books.page(0, 100)[0]
    } == {
        "paid": ("captured", 1999, 500, "pay_1"),
        "free": ("captured", 0, 0, "pay_2"),
        "declined": ("declined", 0, 0, "pay_3"),
        "gone": ("cancelled", 0, 0, "pay_4"),
        "slow": ("processing", 0, 0, "pay_6"),
        "hook": ("pending", 0, 0, "pay_7"),
    }
    with pytest.raises(UnknownPayment):
        books.find("failed")
    assert books.find("paid").created_at == "1970-01-01T00:16:40Z"
    assert books.find("declined").reason == "card_declined"
    assert books.summary().charges == Sum(2, {"GBP": 1999})
    assert books.summary().refunds == Sum(1, {"GBP": 500})
    books.close()


def test_it_goes_on_from_there(path: Path) -> None:
    books = Books(path)

    assert books.refund("paid", RefundRequest("r", Amount(500, "GBP")), 3000.0).reference == "ref_1"
    assert books.refund("paid", RefundRequest("more", Amount(1500, "GBP")), 3000.0).reason == "exceeds_capture"
    assert books.refund("paid", RefundRequest("rest", Amount(1499, "GBP")), 3000.0).status == "refunded"
    assert books.capture("paid", Amount(1, "GBP"), 3000.0)[0].amount == Amount(1999, "GBP")
    books.settle_due(3000.0)
    assert (books.find("slow").status, books.find("hook").status) == ("authorised", "authorised")
    assert books.capture("slow", Amount(6, "GBP"), 3000.0)[0].status == "captured"
    request = AuthoriseRequest("o8", Amount(8, "GBP"), "tok_error_then_ok")
    assert books.authorise("failed", request, plan_for(request.token), 3000.0, 3000.0)[0].status == "authorised"
    assert books.page(0, 100)[0][-1].key == "failed"
    books.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("INSERT INTO refunds VALUES ('nobody', 'r', 1, 'GBP', 'ref_x', 1.0)")
    db.close()


def test_what_is_still_to_be_told_is_told_in_todays_words(path: Path) -> None:
    books = Books(path)

    bodies = {each.event_id: json.loads(each.body) for each in books.due_deliveries(1.0, 10)}

    assert bodies.keys() == {"waiting-charged", "waiting-cancelled"}
    charged = bodies["waiting-charged"]
    assert (charged["type"], charged["captured"]) == ("payment.captured", {"amount": 1999, "currency": "GBP"})
    assert charged["amount"] == {"amount": 1999, "currency": "GBP"}
    assert bodies["waiting-cancelled"]["type"] == "payment.cancelled"
    assert books.summary().webhooks.delivered == 1
    books.close()


def test_carried_over_books_have_the_tables_that_new_ones_have(path: Path, tmp_path: Path) -> None:
    Books(path).close()
    Books(tmp_path / "new.sqlite").close()

    assert tables(path) == tables(tmp_path / "new.sqlite")


def test_opened_again_nothing_changes(path: Path) -> None:
    Books(path).close()
    with sqlite3.connect(path) as db:
        before = list(db.iterdump())
    db.close()

    Books(path).close()

    with sqlite3.connect(path) as db:
        assert list(db.iterdump()) == before
    db.close()


def test_books_that_cannot_be_carried_over_stay_as_they_were(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE payments DROP COLUMN reason")
        before = list(db.iterdump())
    db.close()

    with pytest.raises(sqlite3.OperationalError, match="reason"):
        Books(path)

    with sqlite3.connect(path) as db:
        assert list(db.iterdump()) == before
    db.close()


def test_books_of_a_later_version_are_not_touched(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()

    with pytest.raises(BooksDamaged, match="version 2"):
        Books(path)


def tables(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as db:
        found = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    db.close()
    return [(name, " ".join(sql.replace('"payments"', "payments").split())) for name, sql in found]
