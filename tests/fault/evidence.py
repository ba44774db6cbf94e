"""What is there after some runs, and whether it is as it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.events import Recorded
from tests.fault.accounts import Accounts
from tests.fault.provider_books import Payment, ensure_kept_for
from tests.fault.records import Records
from tests.fault.stock_history import ensure_explained


@dataclass(frozen=True, slots=True)
class Evidence:
    """`shown` is what the query API shows in the end: units of each SKU, the status of each order.

    `ended_by_itself` counts, by part, the ends that nobody had caused.
    """

    runs: Sequence[Records]
    log: Sequence[Recorded]
    payments: Sequence[Payment]
    shown: Mapping[str, int | str]
    faults: Counter[str]
    ended_by_itself: Mapping[str, int]

    def ensure_all_is_well(self) -> None:
        """Raises AssertionError for the first thing that is not."""
        accounts = Accounts.of(self.log)
        for records in self.runs:
            records.ensure_answered()
            for sku in records.skus:
                ensure_explained(sku, records)
            accounts.ensure_ended(records)
            accounts.ensure_sums(records)
            accounts.ensure_as_told(records)
            ensure_kept_for(self.payments, accounts.due(records))
            accounts.ensure_shown(records, self.shown)
        ours = {order_id for records in self.runs for order_id in accounts.due(records)}
        assert ours == set(accounts.orders), f"orders that nobody asked for: {set(accounts.orders) - ours}"
        strangers = [payment for payment in self.payments if payment.kept and payment.order_id not in ours]
        assert not strangers, f"money was taken for nobody's order: {strangers}"

    def told(self) -> Counter[str]:
        """How often each kind of request was told what."""
        return Counter(
            f"{kind} {told.status or 'unanswered'} {told.problem}".strip()
            for records in self.runs
            for kind, told in records.all_told()
        )
