"""What a file must come to, computed from it alone, and what the read models say. Shares no code with the import."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from redis.asyncio import Redis

LONDON = ZoneInfo("Europe/London")
PREFIX = "counterfoil:1"


@dataclass(frozen=True)
class OrderSum:
    """One order. `at` is London's time to the minute, `units` by stock code, amounts in pence."""

    customer: str
    at: str
    country: str
    units: tuple[tuple[str, int], ...]
    total: int
    refunded: int
    status: str


@dataclass
class Sums:
    orders: Counter[OrderSum] = field(default_factory=Counter)
    units_sold: Counter[str] = field(default_factory=Counter)
    units_kept: Counter[str] = field(default_factory=Counter)
    """Sold, less what came back."""
    revenue_by_country: Counter[str] = field(default_factory=Counter)
    revenue_by_month: Counter[str] = field(default_factory=Counter)
    refunds_by_month_of_order: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    returns: int = 0

    def add(self, order: OrderSum) -> None:
        self.orders[order] += 1
        self.units_sold.update(dict(order.units))
        self.revenue_by_country[order.country] += order.total
        self.revenue_by_month[order.at[:7]] += order.total
        self.refunds_by_month_of_order[order.at[:7]] += order.refunded
        self.cancelled += order.status == "cancelled"


Article = tuple[str, Decimal]


@dataclass
class _Invoice:
    customer: str
    at: datetime
    country: str
    articles: Counter[Article]
    back: Counter[Article] = field(default_factory=Counter)
    cancelled: bool = False

    def pence(self, articles: Mapping[Article, int]) -> int:
        return int(100 * sum((price * quantity for (_, price), quantity in articles.items()), Decimal(0)))


def of_file(path: Path) -> tuple[Sums, int]:
    """The sums, and how many `C` invoices match no order."""
    invoices: dict[str, _Invoice] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            at = datetime.strptime(row["InvoiceDate"], "%m/%d/%Y %H:%M")  # noqa: DTZ007 (compared as local time)
            new = _Invoice(row["CustomerID"], at, row["Country"], Counter())
            invoice = invoices.setdefault(row["InvoiceNo"], new)
            invoice.at = min(invoice.at, at)
            invoice.articles[row["StockCode"], Decimal(row["UnitPrice"])] += abs(int(row["Quantity"]))
    sums, unmatched = Sums(), 0
    sold: list[_Invoice] = []
    for number, invoice in sorted(invoices.items(), key=lambda entry: entry[1].at):
        if not number.startswith("C"):
            sold.append(invoice)
            continue
        for sale in reversed([sale for sale in sold if sale.customer == invoice.customer]):
            if all(sale.articles[a] - sale.back[a] >= quantity for a, quantity in invoice.articles.items()):
                sale.cancelled = invoice.articles == sale.articles
                sale.back += invoice.articles
                sums.returns += not sale.cancelled
                break
        else:
            unmatched += 1
    for sale in sold:
        sums.add(
            OrderSum(
                sale.customer,
                f"{sale.at:%Y-%m-%d %H:%M}",
                sale.country,
                _by_code((code, quantity) for (code, _), quantity in sale.articles.items()),
                sale.pence(sale.articles),
                sale.pence(sale.back),
                _status(sale),
            )
        )
        for (code, price), quantity in sale.articles.items():
            sums.units_kept[code] += quantity - sale.back[code, price]
    return sums, unmatched


def assert_equal(found: Sums, expected: Sums) -> None:
    """What is less to read comes first: a penny that is missing is easier to find that way."""
    assert found.units_sold == expected.units_sold
    assert found.revenue_by_country == expected.revenue_by_country
    assert found.revenue_by_month == expected.revenue_by_month
    assert found.refunds_by_month_of_order == expected.refunds_by_month_of_order
    assert (found.cancelled, found.returns) == (expected.cancelled, expected.returns)
    surplus, missing = found.orders - expected.orders, expected.orders - found.orders
    assert not surplus and not missing, f"found {list(surplus)}\ninstead of {list(missing)}"
    assert +found.units_kept == +expected.units_kept


def is_goods(code: str) -> bool:
    return sum(character.isdigit() for character in code) >= 4


def _status(sale: _Invoice) -> str:
    if sale.cancelled:
        return "cancelled"
    if sale.back == sale.articles:
        return "all back"
    return "delivered" if sale.back and any(is_goods(code) for code, _ in sale.articles) else "placed"


def _by_code(units: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    found: Counter[str] = Counter()
    for code, quantity in units:
        found[code] += quantity
    return tuple(sorted(found.items()))


async def of_read_models(redis: Redis, database_url: str) -> Sums:
    """From the views in Valkey; `units_kept` from the search tables."""
    sums = Sums()
    codes: dict[str, str] = {}
    async for key in redis.scan_iter(f"{PREFIX}:product:*", count=1_000):
        page = msgspec.json.decode(await redis.hget(key, "body") or b"")
        codes[page["product_id"]] = page["attributes"]["stock_code"]
    async for key in redis.scan_iter(f"{PREFIX}:orders:customer:*", count=1_000):
        customer = key.decode().rsplit(":", 1)[1]
        entries: list[bytes] = await redis.zrange(key, 0, -1)  # type: ignore[assignment]
        for entry in entries:
            order_id = entry.decode().split(":", 1)[1]
            page = msgspec.json.decode(await redis.hget(f"{PREFIX}:order:{order_id}", "body") or b"")
            sums.add(_order(customer, page, codes))
            sums.returns += len(page["returns"])
    async with await psycopg.AsyncConnection.connect(database_url, connect_timeout=5) as connection:
        rows = await connection.execute(
            "SELECT d.attributes->>'stock_code', sum(p.units_sold)::bigint FROM search.products p "
            "JOIN search.documents d USING (id) WHERE p.listed GROUP BY 1"
        )
        sums.units_kept = Counter(dict(await rows.fetchall()))
    return sums


def _order(customer: str, page: dict[str, Any], codes: dict[str, str]) -> OrderSum:
    assert {item["unit_price"]["currency"] for item in page["items"]} == {"GBP"}
    assert page["total"]["amount"] == sum(item["unit_price"]["amount"] * item["quantity"] for item in page["items"])
    returned = sum(each["refund"]["amount"] for each in page["returns"] if each["status"] == "received")
    placed_at = datetime.fromisoformat(page["placed_at"]).astimezone(LONDON)
    return OrderSum(
        customer,
        f"{placed_at:%Y-%m-%d %H:%M}",
        page["shipping_address"]["country"],
        _by_code((codes[item["product_id"]], item["quantity"]) for item in page["items"]),
        page["total"]["amount"],
        page["total"]["amount"] if page["status"] == "cancelled" else returned,
        # Where no money goes back with the last of it (a gift), an order stays `returned`.
        "all back" if page["status"] in ("returned", "refunded") else page["status"],
    )


async def stock_of_read_models(redis: Redis) -> tuple[Counter[str], int]:
    """Units on hand by stock code, and how many are reserved in all."""
    on_hand: Counter[str] = Counter()
    reserved = 0
    async for key in redis.scan_iter(f"{PREFIX}:stock:*", count=1_000):
        sku = key.decode().removeprefix(f"{PREFIX}:stock:")
        page = msgspec.json.decode(await redis.hget(f"{PREFIX}:product:{sku}", "body") or b"")
        levels: dict[bytes, bytes] = await redis.hgetall(key)  # type: ignore[assignment]
        for name, level in levels.items():
            if name.startswith(b"@"):
                _, there, held = level.split(b" ")
                on_hand[page["attributes"]["stock_code"]] += int(there)
                reserved += int(held)
    return on_hand, reserved
