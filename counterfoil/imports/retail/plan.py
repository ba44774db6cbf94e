"""What is to be done, in order: a pure function of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from counterfoil.imports.retail.invoices import Article, Invoice, Sale, TakingBack
from domain.aggregates.cart import LINES_LIMIT_COUNT, QUANTITY_LIMIT_UNITS
from domain.values import Item


@dataclass(frozen=True, slots=True)
class Cancellation:
    """`invoice` takes back all of `sale`, of which nothing had been taken back."""

    invoice: TakingBack
    sale: Sale

    @property
    def at(self) -> datetime:
        return self.invoice.at


@dataclass(frozen=True, slots=True)
class Return:
    """`invoice` takes back a part of `sale`, or what earlier ones left of it."""

    invoice: TakingBack
    sale: Sale
    items: tuple[Item, ...]

    @property
    def at(self) -> datetime:
        return self.invoice.at

    @property
    def return_id(self) -> str:
        return f"retail-{self.invoice.number}"


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An invoice that nothing is made of, and why."""

    invoice: Invoice
    reason: str


Step = Sale | Cancellation | Return


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` in the order of their times; `impossible` are sales that no cart can hold."""

    steps: tuple[Step, ...]
    unmatched: tuple[Unmatched, ...]
    impossible: tuple[Unmatched, ...]

    @property
    def sales(self) -> list[Sale]:
        return [step for step in self.steps if isinstance(step, Sale)]


@dataclass(slots=True)
class _Sold:
    """A sale, and what of it has not been taken back yet."""

    sale: Sale
    left: Counter[Article]

    def has(self, articles: Counter[Article]) -> bool:
        return all(self.left[article] >= quantity for article, quantity in articles.items())


def plan(invoices: Iterable[Invoice]) -> Plan:
    """Each `C` invoice goes with the latest earlier invoice of its customer that has all its items at those prices."""
    steps: list[Step] = []
    unmatched: list[Unmatched] = []
    impossible: list[Unmatched] = []
    sold: dict[str, list[_Sold]] = {}
    for invoice in invoices:
        earlier = sold.setdefault(invoice.customer, [])
        if isinstance(invoice, Sale):
            obstacle = _obstacle(invoice)
            if obstacle is None:
                steps.append(invoice)
                earlier.append(_Sold(invoice, invoice.articles))
            else:
                impossible.append(Unmatched(invoice, obstacle))
            continue
        found = next((each for each in reversed(earlier) if each.has(invoice.articles)), None)
        if found is None:
            unmatched.append(Unmatched(invoice, _why(invoice, earlier)))
        else:
            steps.append(_step(invoice, found))
            found.left -= invoice.articles
    return Plan(tuple(steps), tuple(unmatched), tuple(impossible))


def _step(invoice: TakingBack, found: _Sold) -> Cancellation | Return:
    if invoice.articles == found.sale.articles:
        return Cancellation(invoice, found.sale)
    skus = {(line.code, line.price_minor): line.sku for line in found.sale.lines}
    items = tuple(Item(skus[article], quantity) for article, quantity in invoice.articles.items())
    return Return(invoice, found.sale, items)


def _obstacle(sale: Sale) -> str | None:
    if len(sale.lines) > LINES_LIMIT_COUNT:
        return f"{len(sale.lines)} different products; a cart holds at most {LINES_LIMIT_COUNT}"
    for line in sale.lines:
        if line.quantity > QUANTITY_LIMIT_UNITS:
            return f"{line.quantity} of {line.code}; a cart holds at most {QUANTITY_LIMIT_UNITS} of one product"
    return None


def _why(invoice: TakingBack, earlier: list[_Sold]) -> str:
    if not earlier:
        return f"customer {invoice.customer} has no earlier invoice"
    for (code, price_minor), quantity in invoice.articles.items():
        what = f"{quantity} of {code} at {price_minor / 100:.2f}"
        sold = [each.sale.articles for each in earlier]
        if not any(code == bought for articles in sold for bought, _ in articles):
            return f"no earlier invoice of customer {invoice.customer} has {code}"
        if not any(articles[code, price_minor] for articles in sold):
            return f"no earlier invoice of customer {invoice.customer} has {code} at {price_minor / 100:.2f}"
        if not any(articles[code, price_minor] >= quantity for articles in sold):
            return f"no earlier invoice of customer {invoice.customer} has {what}"
        if not any(each.left[code, price_minor] >= quantity for each in earlier):
            return f"of the earlier invoices of customer {invoice.customer} none has {what} left"
    return f"no one earlier invoice of customer {invoice.customer} has all of its {len(invoice.articles)} items"
