"""The shop as it is before its first invoice: every product, and stock enough for all that is to be sold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from commandside.commands import AddProduct, ReceiveStock
from commandside.commands.fields import MoneyField
from commandside.handlers.catalogue import add_product
from commandside.handlers.inventory import receive_stock
from counterfoil.imports.in_flight import in_flight
from counterfoil.imports.retail.desk import Desk
from counterfoil.imports.retail.invoices import CURRENCY, Sale, SaleLine
from counterfoil.imports.retail.outcomes import Outcome, Untouched
from counterfoil.imports.retail.plan import Plan
from counterfoil.imports.retail.products import STOCK_CODE, category, kind
from counterfoil.imports.stopping import Stopping
from counterfoil.progress import Progress
from domain.aggregates import EventSourced, Product, StockItem
from domain.identity import product_stream, stock_stream

WAREHOUSE: Final = "main"
BEFORE_FIRST_INVOICE: Final = timedelta(hours=1)
LIMIT_IN_FLIGHT_COUNT: Final = 256


@dataclass(frozen=True, slots=True)
class _Wanted:
    line: SaleLine
    receive: int
    there: bool


async def open_shop(
    desk: Desk, plan: Plan, done: Mapping[str, Outcome], progress: Progress, stopping: Stopping
) -> bool:
    """False when it was asked to stop before the end.

    What is there already is left as it is; stock is received where there is less than the sales to come take, and so
    once, however often the import is interrupted.
    """
    sales = plan.sales
    if not sales:
        return True
    wanted = await _missing(desk, sales, done)
    at = sales[0].at - BEFORE_FIRST_INVOICE
    progress.begin("products and stock", len(wanted))

    async def open_one(each: _Wanted) -> None:
        await _open_product(desk, each, at)
        progress.advance()

    return await in_flight(wanted, open_one, limit_count=LIMIT_IN_FLIGHT_COUNT, stopping=stopping)


async def _missing(desk: Desk, sales: list[Sale], done: Mapping[str, Outcome]) -> list[_Wanted]:
    first: dict[str, SaleLine] = {}
    to_come: Counter[str] = Counter()
    for sale in sales:
        for line in sale.lines:
            first.setdefault(line.sku, line)
            if isinstance(done[sale.number], Untouched):
                to_come[line.sku] += line.quantity
    products = await desk.look([product_stream(sku) for sku in first], lambda found: isinstance(found, Product))
    stock = await desk.look([stock_stream(sku, WAREHOUSE) for sku in first], _available)
    wanted = []
    for sku, line in first.items():
        there = products[product_stream(sku)]
        short = to_come[sku] - stock[stock_stream(sku, WAREHOUSE)] if kind(line.code) == "goods" else 0
        if short > 0 or not there:
            wanted.append(_Wanted(line, max(short, 0), there))
    return wanted


def _available(found: EventSourced | None) -> int:
    return found.available if isinstance(found, StockItem) else 0


async def _open_product(desk: Desk, wanted: _Wanted, at: datetime) -> None:
    line, context = wanted.line, desk.context("opening", at)
    if not wanted.there:
        add = AddProduct(
            sku=line.sku,
            title=line.title,
            category=category(line.code),
            price=MoneyField(amount=line.price_minor, currency=CURRENCY),
            attributes={STOCK_CODE: line.code},
            kind=kind(line.code),
        )
        await desk.write_side.execute(add_product, add, context)
    if wanted.receive:
        receive = ReceiveStock(sku=line.sku, warehouse_id=WAREHOUSE, quantity=wanted.receive)
        await desk.write_side.execute(receive_stock, receive, context)
