"""What became of each sale, read from the log itself: there is no other record of how far an import is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.imports.retail.desk import Desk
from counterfoil.imports.retail.invoices import Sale
from domain.aggregates import Checkout, EventSourced, Receipt
from domain.identity import checkout_stream, receipt_stream
from domain.values import Money


@dataclass(frozen=True, slots=True)
class Placed:
    """The order stands, whatever became of it later. `total` is what was charged."""

    total: Money


@dataclass(frozen=True, slots=True)
class Refused:
    """The shop said no, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Begun:
    """The checkout has begun and has no end yet."""


@dataclass(frozen=True, slots=True)
class Untouched:
    """There is no checkout of it, though there may be a cart."""


Outcome = Placed | Refused | Begun | Untouched


async def outcomes(desk: Desk, sales: Sequence[Sale]) -> dict[str, Outcome]:
    """By the number of the invoice."""
    ids = {sale.number: (checkout_stream(sale.order_id), receipt_stream(sale.owner, sale.idempotency_key))
           for sale in sales}  # fmt: skip
    seen = await desk.look([stream_id for pair in ids.values() for stream_id in pair], _outcome)
    # A checkout says it all; without one the receipt may hold a refusal.
    return {
        number: seen[checkout_id] or seen[receipt_id] or Untouched()
        for number, (checkout_id, receipt_id) in ids.items()
    }


async def outcome_of(desk: Desk, sale: Sale) -> Outcome:
    return (await outcomes(desk, [sale]))[sale.number]


def _outcome(found: EventSourced | None) -> Outcome | None:
    match found:
        case Checkout():
            if found.awaits_payment or found.capture_due:
                return Begun()
            if found.status == "completed":
                return Placed(found.amount)
            return Refused(f"the payment failed: {found.failure_reason}")
        case Receipt() if found.answered:
            return Refused(str(json.loads(found.body or "{}").get("detail", f"refused with {found.status}")))
        case _:
            return None
