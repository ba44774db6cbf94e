"""The provider's books: what is held, was taken, given back and promised, in one SQLite file.

Every method is one transaction that is on the disk when it returns, or at the end of `together`, whose calls share one.
None may be called by two threads at once.
Times are UTC, in seconds since 1970.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar, cast

from counterfoil.payment_provider import schema
from counterfoil.payment_provider.rows import (
    amount_of,
    capture_of,
    captured_of,
    first_status,
    new_id,
    payment_of,
    reason_not_to_capture,
    rfc3339,
)
from counterfoil.payment_provider.tokens import Plan
from counterfoil.payment_provider.wire import (
    Amount,
    AuthoriseRequest,
    BooksSummary,
    Capture,
    Payment,
    Refund,
    RefundRequest,
    Sum,
    WebhookCounts,
    encode,
)

BUSY_TIMEOUT_SECONDS: Final = 5.0
SETTLE_BATCH_SIZE_PAYMENTS: Final = 256

T = TypeVar("T")


class KeyReused(Exception):
    """This key was used before with another amount."""


class UnknownPayment(Exception):
    """The provider never saw this key."""


class FailedOnPurpose(Exception):
    """The token asks for a first attempt that fails. It comes to nothing."""


class BooksDamaged(Exception):
    """The file is there and is not a book of ours, or of a later version's, or is no longer whole."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that its receiver has not taken yet. `attempts_count` counts those that failed."""

    event_id: str
    body: bytes
    attempts_count: int


class Books:
    """Opens `path`, or makes it, and carries over what an older version wrote there. Raises BooksDamaged."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            schema.prepare(self._db)
        except (sqlite3.DatabaseError, schema.OfALaterShop) as error:
            self._db.close()
            if isinstance(error, sqlite3.OperationalError):
                raise  # locked, full, not writable: the file itself may be sound
            raise BooksDamaged(f"{path}: {error}") from error

    def close(self) -> None:
        self._db.close()

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """Make `calls`, of methods of these books, in one transaction: the disk is waited for once.

        Returns of each its result, or what it raised: that one has changed nothing. Raises what keeps the whole from
        being written, and then none of them has.
        """
        with self._transaction():
            return [self._attempt(call) for call in calls]

    def authorise(
        self, key: str, request: AuthoriseRequest, plan: Plan, due_at: float, now: float
    ) -> tuple[Payment, bool]:
        """The payment of `key`, made according to `plan` if it is new, and whether it is. What is slow or comes by
        webhook is settled at `due_at`.

        Raises KeyReused, FailedOnPurpose.
        """
        with self._transaction():
            row = self._row(key)
            if row is not None and row["amount"] is not None and amount_of(row) != request.amount:
                raise KeyReused
            if row is None:
                status = first_status(plan)
                self._db.execute(
                    "INSERT INTO payments"
                    " (key, order_id, amount, currency, status, reference, reason, due_at, created_at, capture)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        key,
                        request.order_id,
                        request.amount.amount,
                        request.amount.currency,
                        status,
                        new_id("pay"),
                        plan.reason,
                        due_at if status in {"pending", "processing"} else None,
                        now,
                        plan.capture,
                    ),
                )
            elif row["status"] == "errored":
                self._db.execute("UPDATE payments SET status = 'authorised' WHERE key = ?", (key,))
            payment_row = self._known_row(key)
        if payment_row["status"] == "errored":
            raise FailedOnPurpose
        return payment_of(payment_row), row is None

    def find(self, key: str) -> Payment:
        """Raises UnknownPayment."""
        row = self._known_row(key)
        if row["status"] == "errored":
            raise UnknownPayment(key)
        return payment_of(row)

    def capture(self, key: str, amount: Amount, now: float) -> tuple[Capture, bool]:
        """Take `amount` of what is held and let the rest go, and whether that is to be answered.

        What was captured before is said again, whatever `amount` is. Raises FailedOnPurpose.
        """
        with self._transaction():
            row = self._row(key)
            if row is not None and row["status"] == "captured":
                return capture_of(row), True
            reason = reason_not_to_capture(row, amount)
            if reason is not None:
                return Capture(status="refused", reason=reason), True
            assert row is not None
            match row["capture"]:
                case "refused":
                    self._set_status(key, "cancelled")
                    return Capture(status="refused", reason="not_authorised"), True
                case "fails_first":
                    self._db.execute("UPDATE payments SET capture = 'now' WHERE key = ?", (key,))
                case way:
                    self._db.execute(
                        "UPDATE payments SET status = 'captured', captured_amount = ? WHERE key = ?",
                        (amount.amount, key),
                    )
                    if way == "silent":
                        self._promise_webhook(key, now)
                    return capture_of(self._known_row(key)), way != "silent"
        raise FailedOnPurpose

    def cancel(self, key: str, now: float) -> Payment:
        """What is not captured is let go, what was never seen is cancelled for good; the rest stays as it is."""
        with self._transaction():
            row = self._row(key)
            if row is None:
                self._db.execute(
                    "INSERT INTO payments (key, status, reference, created_at) VALUES (?, 'cancelled', ?, ?)",
                    (key, new_id("pay"), now),
                )
            elif row["status"] in {"authorised", "pending", "processing", "errored"}:
                self._set_status(key, "cancelled")
                if row["status"] == "pending":
                    self._promise_webhook(key, now)
            return payment_of(self._known_row(key))

    def refund(self, key: str, request: RefundRequest, now: float) -> Refund:
        """Raises KeyReused: the refund key, with another amount. A refusal is not remembered."""
        with self._transaction():
            row = self._row(key)
            made = self._db.execute(
                "SELECT * FROM refunds WHERE key = ? AND refund_key = ?", (key, request.refund_key)
            ).fetchone()
            if made is not None:
                if amount_of(made) != request.amount:
                    raise KeyReused
                return Refund(refund_key=request.refund_key, status="refunded", reference=made["reference"])
            if row is None or row["status"] != "captured":
                return Refund(refund_key=request.refund_key, status="refused", reason="not_captured")
            if row["currency"] != request.amount.currency:
                return Refund(refund_key=request.refund_key, status="refused", reason="currency_mismatch")
            if row["refunded_amount"] + request.amount.amount > row["captured_amount"]:
                return Refund(refund_key=request.refund_key, status="refused", reason="exceeds_capture")
            reference = new_id("ref")
            self._db.execute(
                "INSERT INTO refunds (key, refund_key, amount, currency, reference, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (key, request.refund_key, request.amount.amount, request.amount.currency, reference, now),
            )
            self._db.execute(
                "UPDATE payments SET refunded_amount = refunded_amount + ? WHERE key = ?", (request.amount.amount, key)
            )
            return Refund(refund_key=request.refund_key, status="refunded", reference=reference)

    def settle_due(self, now: float) -> float | None:
        """Give the payments that are due their outcome. Returns when the next is due, None: nothing is under way."""
        with self._transaction():
            due = self._db.execute(
                "SELECT key, status, reason FROM payments WHERE status IN ('pending', 'processing') AND due_at <= ?"
                " ORDER BY due_at LIMIT ?",
                (now, SETTLE_BATCH_SIZE_PAYMENTS),
            ).fetchall()
            for row in due:
                self._set_status(row["key"], "authorised" if row["reason"] is None else "declined")
                if row["status"] == "pending":
                    self._promise_webhook(row["key"], now)
            return self._earliest("SELECT min(due_at) FROM payments WHERE status IN ('pending', 'processing')")

    def due_deliveries(self, now: float, limit: int) -> list[Delivery]:
        """At most `limit` of the webhooks whose next attempt is due, the oldest first."""
        rows = self._db.execute(
            "SELECT event_id, body, attempts_count FROM webhooks WHERE state = 'waiting' AND next_attempt_at <= ?"
            " ORDER BY next_attempt_at LIMIT ?",
            (now, limit),
        )
        return [Delivery(row["event_id"], row["body"], row["attempts_count"]) for row in rows]

    def next_delivery_at(self) -> float | None:
        return self._earliest("SELECT min(next_attempt_at) FROM webhooks WHERE state = 'waiting'")

    def delivered(self, event_id: str) -> None:
        self._db.execute("UPDATE webhooks SET state = 'delivered' WHERE event_id = ?", (event_id,))

    def not_delivered(self, event_id: str, next_attempt_at: float | None) -> None:
        """One more attempt failed; None: it was the last."""
        self._db.execute(
            "UPDATE webhooks SET attempts_count = attempts_count + 1,"
            " state = CASE WHEN :next IS NULL THEN 'abandoned' ELSE state END,"
            " next_attempt_at = coalesce(:next, next_attempt_at) WHERE event_id = :event_id",
            {"next": next_attempt_at, "event_id": event_id},
        )

    def page(self, after: int, limit: int) -> tuple[list[Payment], int | None]:
        """Up to `limit` payments in the order they came, behind position `after`; and the `after` of the next page."""
        rows = self._db.execute(
            "SELECT * FROM payments WHERE position > ? AND status <> 'errored' ORDER BY position LIMIT ?",
            (after, limit + 1),
        ).fetchall()
        shown = rows[:limit]
        return [payment_of(row) for row in shown], shown[-1]["position"] if len(rows) > limit else None

    def summary(self) -> BooksSummary:
        with self._transaction():
            states = dict(self._db.execute("SELECT state, count(*) FROM webhooks GROUP BY state").fetchall())
            (oldest_waiting_at,) = self._db.execute(
                "SELECT min(json_extract(CAST(body AS TEXT), '$.created_at')) FROM webhooks WHERE state = 'waiting'"
            ).fetchone()
            return BooksSummary(
                authorised=self._sum("amount", "payments", "status = 'authorised'"),
                charges=self._sum("captured_amount", "payments", "status = 'captured'"),
                refunds=self._sum("amount", "refunds", "TRUE"),
                declined=self._sum("amount", "payments", "status = 'declined'"),
                cancelled=self._sum("amount", "payments", "status = 'cancelled'"),
                under_way=self._sum("amount", "payments", "status IN ('pending', 'processing')"),
                webhooks=WebhookCounts(
                    states.get("waiting", 0),
                    states.get("delivered", 0),
                    states.get("abandoned", 0),
                    oldest_waiting_at,
                ),
            )

    def _sum(
        self, what: Literal["amount", "captured_amount"], table: Literal["payments", "refunds"], condition: str
    ) -> Sum:
        rows = self._db.execute(
            f"SELECT currency, count(*), sum({what}) FROM {table} WHERE {condition} GROUP BY currency"
        ).fetchall()
        # A key cancelled before it was authorised has no amount and no currency.
        return Sum(sum(row[1] for row in rows), {row[0]: row[2] for row in rows if row[0] is not None})

    def _promise_webhook(self, key: str, now: float) -> None:
        row = self._known_row(key)
        event_id = new_id("evt")
        event = {
            "event_id": event_id,
            "type": f"payment.{row['status']}",
            "key": key,
            "order_id": row["order_id"],
            "reference": row["reference"],
            "amount": amount_of(row),
            "created_at": rfc3339(now),
        }
        if row["status"] == "declined":
            event["reason"] = row["reason"]
        if row["status"] == "captured":
            event["captured"] = captured_of(row)
        self._db.execute(
            "INSERT INTO webhooks (event_id, key, body, next_attempt_at) VALUES (?, ?, ?, ?)",
            (event_id, key, encode(event), now),
        )

    def _set_status(self, key: str, status: Literal["authorised", "declined", "cancelled"]) -> None:
        self._db.execute("UPDATE payments SET status = ?, due_at = NULL WHERE key = ?", (status, key))

    def _row(self, key: str) -> sqlite3.Row | None:
        return cast("sqlite3.Row | None", self._db.execute("SELECT * FROM payments WHERE key = ?", (key,)).fetchone())

    def _known_row(self, key: str) -> sqlite3.Row:
        row = self._row(key)
        if row is None:
            raise UnknownPayment(key)
        return row

    def _earliest(self, query: str) -> float | None:
        return cast("float | None", self._db.execute(query).fetchone()[0])

    def _attempt(self, call: Callable[[], T]) -> T | Exception:
        try:
            return call()
        except sqlite3.Error:
            raise  # the disk is full, or worse: nobody's call is sure to be written
        except Exception as error:
            return error  # `together` hands it to whom it concerns

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        begin, end, undo = _OUTER if not self._db.in_transaction else _INNER
        self._db.execute(begin)
        try:
            yield
        except BaseException:
            for statement in undo:
                if self._db.in_transaction:  # SQLite may have undone everything by itself
                    self._db.execute(statement)
            raise
        self._db.execute(end)


_OUTER: Final = ("BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",))
_INNER: Final = ("SAVEPOINT call", "RELEASE call", ("ROLLBACK TO call", "RELEASE call"))
