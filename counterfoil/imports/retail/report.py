"""What an import came to, over all its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil.imports.retail.invoices import CURRENCY, Sale
from counterfoil.imports.retail.plan import Cancellation, Return, Unmatched
from domain.values import Money


@dataclass(slots=True)
class Report:
    """`unmatched` are `C` invoices nothing was made of, `refused` sales that the shop would not have.

    `different` are sales that the shop has from before, with another total: the file was changed since.
    """

    lines_count: int
    rejected_lines_count: int
    orders_count: int = 0
    units_count: int = 0
    revenue: Money = field(default_factory=lambda: Money.zero(CURRENCY))
    cancelled_count: int = 0
    returned_count: int = 0
    taken_back: Money = field(default_factory=lambda: Money.zero(CURRENCY))
    unmatched: list[Unmatched] = field(default_factory=list)
    refused: list[Unmatched] = field(default_factory=list)
    different: list[Unmatched] = field(default_factory=list)
    found_done_count: int = 0
    seconds: float = 0.0

    def sold(self, sale: Sale, total: Money) -> None:
        self.orders_count += 1
        self.units_count += sale.units
        self.revenue += total
        if total != sale.total:
            reason = f"the order is one of {_pounds(total)}, the invoice now of {_pounds(sale.total)}"
            self.different.append(Unmatched(sale, reason))

    def took_back(self, step: Cancellation | Return) -> None:
        if isinstance(step, Cancellation):
            self.cancelled_count += 1
        else:
            self.returned_count += 1
        pence = sum(price_minor * quantity for (_, price_minor), quantity in step.invoice.articles.items())
        self.taken_back += Money(pence, CURRENCY)

    def as_json(self) -> dict[str, Any]:
        return {
            "lines": self.lines_count,
            "rejected_lines": self.rejected_lines_count,
            "orders": self.orders_count,
            "units": self.units_count,
            "revenue": _money(self.revenue),
            "cancelled": self.cancelled_count,
            "returned": self.returned_count,
            "taken_back": _money(self.taken_back),
            "unmatched": _listed(self.unmatched),
            "refused": _listed(self.refused),
            "different": _listed(self.different),
            "found_done": self.found_done_count,
            "seconds": round(self.seconds, 1),
        }

    def as_text(self) -> str:
        per_second = self.lines_count / self.seconds if self.seconds else 0.0
        return "\n".join(
            (
                f"  orders      {self.orders_count}, of {self.units_count} units for {_pounds(self.revenue)}",
                f"  cancelled   {self.cancelled_count}",
                f"  returned    {self.returned_count} (with the cancelled {_pounds(self.taken_back)} taken back)",
                f"  unmatched   {len(self.unmatched)}",
                f"  refused     {len(self.refused)}",
                f"  different   {len(self.different)}",
                f"  lines       {self.lines_count}, {self.rejected_lines_count} of them rejected",
                f"  done before {self.found_done_count} of the orders",
                f"  time        {self.seconds:.1f} s, {per_second:,.0f} lines a second",
            )
        )


def _money(value: Money) -> dict[str, int | str]:
    return {"amount": value.amount, "currency": value.currency}


def _pounds(value: Money) -> str:
    return f"{value.currency} {value.amount // 100:,}.{value.amount % 100:02d}"


def _listed(invoices: Sequence[Unmatched]) -> list[dict[str, str | int]]:
    return [{"invoice": each.invoice.number, "line": each.invoice.line, "reason": each.reason} for each in invoices]
