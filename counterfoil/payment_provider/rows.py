"""What a row of the books says, and what may be done with it."""

from __future__ import annotations

import secrets
import sqlite3
from datetime import UTC, datetime
from typing import Any

from counterfoil.payment_provider.tokens import Plan
from counterfoil.payment_provider.wire import Amount, Capture, Payment


def first_status(plan: Plan) -> str:
    match plan.way:
        case "fails_first":
            return "errored"
        case "slow":
            return "processing"
        case "webhook":
            return "pending"
        case "now" | "silent":
            return "authorised" if plan.reason is None else "declined"


def reason_not_to_capture(row: sqlite3.Row | None, amount: Amount) -> str | None:
    if row is None or row["status"] != "authorised":
        is_open = row is not None and row["status"] in {"pending", "processing"}
        return "under_way" if is_open else "not_authorised"
    if row["currency"] != amount.currency:
        return "currency_mismatch"
    if amount.amount == 0:
        return "nothing_to_capture"
    return "exceeds_authorisation" if amount.amount > row["amount"] else None


def capture_of(row: sqlite3.Row) -> Capture:
    return Capture(status="captured", reference=row["reference"], amount=captured_of(row))


def payment_of(row: sqlite3.Row) -> Payment:
    status: Any = row["status"]
    return Payment(
        key=row["key"],
        status=status,
        reference=row["reference"],
        # While it is under way the reason is a secret of the plan.
        reason=row["reason"] if status == "declined" else None,
        order_id=row["order_id"],
        amount=None if row["amount"] is None else amount_of(row),
        captured_amount=row["captured_amount"],
        refunded_amount=row["refunded_amount"],
        created_at=rfc3339(row["created_at"]),
    )


def amount_of(row: sqlite3.Row) -> Amount:
    return Amount(row["amount"], row["currency"])


def captured_of(row: sqlite3.Row) -> Amount:
    return Amount(row["captured_amount"], row["currency"])


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
