"""The payment provider's own books, read by its HTTP pages: what it keeps, of which order."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

ANSWER_TIMEOUT_SECONDS: Final = 10
PAGE_SIZE_PAYMENTS: Final = 1_000
POLL_SECONDS: Final = 0.2
# What each status of a payment means, and the only place that says so.
MONEY_TAKEN: Final = frozenset({"charged", "captured"})
MONEY_HELD: Final = frozenset({"authorised", "pending", "processing"})
NO_MONEY: Final = frozenset({"declined", "cancelled"})


@dataclass(frozen=True, slots=True)
class Payment:
    """What was `taken` and `refunded`, in minor units; `order_id` is None of a key that was cancelled before anybody
    paid under it.
    """

    key: str
    order_id: str | None
    status: str
    taken: int
    refunded: int

    @property
    def kept(self) -> int:
        return self.taken - self.refunded

    @property
    def is_open(self) -> bool:
        return self.status in MONEY_HELD


def read_payments(provider_url: str) -> list[Payment]:
    """All there are, in the order in which they came."""
    found: list[Payment] = []
    after: int | None = 0
    with httpx.Client(trust_env=False, timeout=ANSWER_TIMEOUT_SECONDS) as http:
        while after is not None:
            params = {"limit": PAGE_SIZE_PAYMENTS, "after": after}
            page = http.get(f"{provider_url}/v1/payments", params=params).raise_for_status().json()
            found += [_payment(entry) for entry in page["payments"]]
            after = page["next_after"]
    return found


async def settled_payments(provider_url: str, within_seconds: float) -> list[Payment]:
    """All there are, once no money is only held any more, or the time is up."""
    until = time.monotonic() + within_seconds
    while True:
        found = await asyncio.to_thread(read_payments, provider_url)
        if not any(payment.is_open for payment in found) or time.monotonic() > until:
            return found
        await asyncio.sleep(POLL_SECONDS)


def ensure_kept_for(payments: Iterable[Payment], due: Mapping[str, int]) -> None:
    """`due` is what each order owes: its total, or 0. Raises AssertionError where anything else is kept of it, where
    it was taken twice, or is held still; orders that are not in `due` are somebody else's.
    """
    by_order: dict[str, list[Payment]] = defaultdict(list)
    for payment in payments:
        assert payment.status in MONEY_TAKEN | MONEY_HELD | NO_MONEY, f"{payment} is in a state nobody knows"
        by_order[payment.order_id or payment.key].append(payment)
    for order_id, amount in due.items():
        paid = by_order.get(order_id, [])
        assert len(paid) <= 1, f"order {order_id} was paid more than once: {paid}"
        assert not any(payment.is_open for payment in paid), f"of order {order_id} money is still held: {paid}"
        assert sum(payment.kept for payment in paid) == amount, f"order {order_id} owes {amount}, and paid: {paid}"


def _payment(entry: Mapping[str, Any]) -> Payment:
    whole = entry["amount"]["amount"] if entry["amount"] is not None else 0
    # Of what is only held, a part may be taken; what is charged at once is taken whole.
    taken = entry.get("captured_amount", whole) if entry["status"] in MONEY_TAKEN else 0
    return Payment(entry["key"], entry["order_id"], entry["status"], taken, entry["refunded_amount"])
