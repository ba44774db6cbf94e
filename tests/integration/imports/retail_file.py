"""A small file in the layout of the data set, with everything in it that makes the real one hard."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

COLUMNS = (
    "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
)  # fmt: skip
_COUNTRIES = ("United Kingdom", "Germany", "France", "EIRE")
Row = tuple[str, str, str, int, datetime, str, str, str]


def write(path: Path, rows: Iterable[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for invoice, code, title, quantity, at, price, customer, country in rows:
            when = f"{at.month}/{at.day}/{at.year} {at.hour}:{at.minute:02d}"
            writer.writerow((invoice, code, title, quantity, when, price, customer, country))
    return path


def made_up(sales_count: int, seed: int = 1) -> list[Row]:
    """Sales with services, free and repeated lines and several prices; some taken back whole, in part or in lots."""
    chance = random.Random(seed)  # noqa: S311 (no secret: the same file every time)
    at = datetime(2011, 3, 25, 8, 0)  # noqa: DTZ001 (local time, as in the file; the clocks go forward two days later)
    rows: list[Row] = []
    sold: list[list[Row]] = []
    number = 540_000
    for _ in range(sales_count):
        at += timedelta(minutes=chance.choice((0, 7, 240, 1_500)))
        number += 1
        customer = 12_340 + chance.randrange(5)
        sale = [_line(chance, str(number), at, str(customer)) for _ in range(chance.randint(1, 6))]
        rows += sale
        sold.append(sale)
        if chance.random() < 0.45:
            at += timedelta(minutes=chance.choice((0, 30, 600)))
            number += 1
            rows += _taken_back(chance, f"C{number}", at, chance.choice(sold[-4:]))
        if len(sold) % 10 == 0:  # all of it comes back, in two lots
            for lot in (sale[:1], sale[1:]):
                at += timedelta(minutes=5)
                number += 1
                rows += [_back(f"C{number}", at, line, line[3]) for line in lot]
    return rows


def _line(chance: random.Random, invoice: str, at: datetime, customer: str) -> Row:
    code, title = chance.choice(
        (
            ("POST", "POSTAGE"),
            ("M", "Manual"),
            ("BANK CHARGES", ""),
            *((f"2270{n}{'A' * (n % 2)}", f"GIFT, No. {n}") for n in range(8)),
        )
    )
    price = chance.choice(("0", "1.25", "1.25", "2.1", "18.00"))
    country = _COUNTRIES[int(customer) % len(_COUNTRIES)]
    return (invoice, code, title, chance.choice((1, 2, 12, 144)), at, price, customer, country)


def _taken_back(chance: random.Random, invoice: str, at: datetime, sale: list[Row]) -> list[Row]:
    kind = chance.choice(("whole", "part", "part", "one unit", "never sold"))
    chosen = sale if kind == "whole" else chance.sample(sale, chance.randint(1, len(sale)))
    more = {"never sold": 1_000}.get(kind, 0)
    return [_back(invoice, at, line, 1 if kind == "one unit" else line[3] + more) for line in chosen]


def _back(invoice: str, at: datetime, line: Row, quantity: int) -> Row:
    _, code, title, _, _, price, customer, country = line
    return (invoice, code, title, -quantity, at, price, customer, country)
