"""The lines of the file, put together to invoices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from counterfoil.imports.records import Record, Rejected, read_csv
from counterfoil.imports.retail.lines import COLUMNS, BadLine, InvoiceLine, parse
from counterfoil.imports.retail.products import sku, sku_at
from domain.values import Money

CURRENCY = "GBP"
Article = tuple[str, int]
"""A code at a unit price in pence."""


@dataclass(frozen=True, slots=True)
class SaleLine:
    """Lines of one code and price are one, of the summed quantity. `fixed`: a product for this price only."""

    sku: str
    code: str
    title: str
    quantity: int
    price_minor: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class Sale:
    number: str
    line: int
    at: datetime
    customer: str
    country: str
    lines: tuple[SaleLine, ...]

    @property
    def owner(self) -> str:
        return f"customer:{self.customer}"

    @property
    def idempotency_key(self) -> str:
        return f"retail-{self.number}"

    @property
    def order_id(self) -> UUID:
        """Derived from the invoice, so that a second run finds what the first one made."""
        return uuid5(NAMESPACE_URL, f"urn:counterfoil:retail:{self.number}")

    @property
    def total(self) -> Money:
        return Money(sum(line.price_minor * line.quantity for line in self.lines), CURRENCY)

    @property
    def units(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def articles(self) -> Counter[Article]:
        return Counter({(line.code, line.price_minor): line.quantity for line in self.lines})


@dataclass(frozen=True, slots=True)
class TakingBack:
    """A `C` invoice."""

    number: str
    line: int
    at: datetime
    customer: str
    articles: Counter[Article]


Invoice = Sale | TakingBack


@dataclass(frozen=True, slots=True)
class InvoiceFile:
    """`invoices` are in the order of their times, those of one time in the order of the file."""

    invoices: tuple[Invoice, ...]
    lines_count: int
    rejected: tuple[Rejected, ...]


def read(path: Path) -> InvoiceFile:
    """Raises ImportStopped where the file cannot be read or is of another layout."""
    return put_together(read_csv(path, required=COLUMNS))


def put_together(records: Iterable[Record | Rejected]) -> InvoiceFile:
    by_number: dict[str, list[InvoiceLine]] = {}
    rejected: list[Rejected] = []
    lines_count = 0
    for record in records:
        lines_count += 1
        if isinstance(record, Rejected):
            rejected.append(record)
            continue
        try:
            line = parse(record)
            lines = by_number.setdefault(line.invoice, [])
            if lines and lines[0].customer != line.customer:
                raise BadLine(f"invoice {line.invoice} is customer {lines[0].customer}'s, not {line.customer}'s")
        except BadLine as fault:
            rejected.append(Rejected(record.line, str(fault), record.text))
        else:
            lines.append(line)
    invoices = [_taking_back(lines) if lines[0].takes_back else _sale(lines) for lines in by_number.values()]
    invoices.sort(key=lambda invoice: invoice.at)  # stable
    return InvoiceFile(tuple(invoices), lines_count, tuple(rejected))


def _sale(lines: list[InvoiceLine]) -> Sale:
    merged: dict[Article, SaleLine] = {}
    for line in lines:
        article = (line.code, line.price_minor)
        held = merged.get(article)
        if held is None:
            fixed = any(code == line.code for code, _ in merged)
            name = sku_at(line.code, line.price_minor) if fixed else sku(line.code)
            merged[article] = SaleLine(name, line.code, line.title, line.quantity, line.price_minor, fixed)
        else:
            quantity = held.quantity + line.quantity
            merged[article] = SaleLine(held.sku, held.code, held.title, quantity, held.price_minor, held.fixed)
    first = lines[0]
    return Sale(first.invoice, first.line, _earliest(lines), first.customer, first.country, tuple(merged.values()))


def _taking_back(lines: list[InvoiceLine]) -> TakingBack:
    articles: Counter[Article] = Counter()
    for line in lines:
        articles[line.code, line.price_minor] += line.quantity
    return TakingBack(lines[0].invoice, lines[0].line, _earliest(lines), lines[0].customer, articles)


def _earliest(lines: list[InvoiceLine]) -> datetime:
    return min(line.at for line in lines)
