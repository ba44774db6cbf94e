"""One line of an invoice, as the file has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from counterfoil.imports.records import Record
from counterfoil.imports.retail.products import sku
from domain.aggregates.cart import QUANTITY_LIMIT_UNITS

COLUMNS: Final = (
    "InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country",
)  # fmt: skip
LOCAL: Final = ZoneInfo("Europe/London")
PRICE_LIMIT_MINOR: Final = 10**9
_INVOICE: Final = re.compile(r"(?P<taken_back>C?)\d{1,12}")
_CUSTOMER: Final = re.compile(r"(?P<id>\d{1,12})(\.0)?")  # spreadsheets make numbers of them
_PRICE: Final = re.compile(r"(?P<minus>-?)(?P<pounds>\d{1,8})(\.(?P<pence>\d{1,2})0*)?")
_DATE: Final = re.compile(
    r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}) (?P<hour>\d{1,2}):(?P<minute>\d{2})(:(?P<second>\d{2}))?"
)
_SKU_LIMIT_CHARACTERS: Final = 48  # leaves room for the price that may be put after it


class BadLine(Exception):
    """Why a line is no invoice line."""


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """`quantity` is positive, also where the invoice takes goods back; `price_minor` is in pence; `at` is UTC."""

    line: int
    text: str
    invoice: str
    takes_back: bool
    code: str
    title: str
    quantity: int
    price_minor: int
    at: datetime
    customer: str
    country: str


def parse(record: Record) -> InvoiceLine:
    """Raises BadLine."""
    values: dict[str, str] = {name: record.values[name].strip() for name in COLUMNS}
    invoice = _INVOICE.fullmatch(values["InvoiceNo"])
    if invoice is None:
        raise BadLine(f"InvoiceNo {values['InvoiceNo']!r} is not an invoice: digits, or C and digits")
    takes_back = bool(invoice["taken_back"])
    customer = _CUSTOMER.fullmatch(values["CustomerID"])
    if customer is None:
        raise BadLine(f"CustomerID {values['CustomerID']!r} is no number" if values["CustomerID"] else "no CustomerID")
    code = values["StockCode"]
    if not code:
        raise BadLine("no StockCode")
    if len(sku(code)) > _SKU_LIMIT_CHARACTERS:
        raise BadLine(f"StockCode {code!r} makes a SKU of more than {_SKU_LIMIT_CHARACTERS} characters")
    if not values["Country"] or len(values["Country"]) > 100 or not values["Country"].isprintable():
        raise BadLine("a Country has 1 to 100 characters")
    return InvoiceLine(
        line=record.line,
        text=record.text,
        invoice=values["InvoiceNo"],
        takes_back=takes_back,
        code=code,
        title=_title(values["Description"]) or code,
        quantity=_quantity(values["Quantity"], takes_back),
        price_minor=_pence(values["UnitPrice"]),
        at=_utc(values["InvoiceDate"]),
        customer=customer["id"],
        country=values["Country"],
    )


def _quantity(text: str, takes_back: bool) -> int:
    if not re.fullmatch(r"-?\d{1,10}", text):
        raise BadLine(f"Quantity {text!r} is not a whole number")
    quantity = -int(text) if takes_back else int(text)
    if quantity <= 0:
        wanted = "negative on an invoice that takes back" if takes_back else "positive outside a C invoice"
        raise BadLine(f"Quantity {text} is not {wanted}")
    if quantity > QUANTITY_LIMIT_UNITS:
        raise BadLine(f"Quantity {text} is more than {QUANTITY_LIMIT_UNITS} units")
    return quantity


@lru_cache(maxsize=4_096)
def _pence(text: str) -> int:
    price = _PRICE.fullmatch(text)
    if price is None:
        finer = re.fullmatch(r"-?\d{1,8}\.\d+", text)
        raise BadLine(f"UnitPrice {text!r} is {'finer than a penny' if finer else 'no amount of pounds'}")
    pence = int(price["pounds"]) * 100 + int((price["pence"] or "").ljust(2, "0"))
    if price["minus"]:
        raise BadLine(f"UnitPrice {text} is negative")
    if pence > PRICE_LIMIT_MINOR:
        raise BadLine(f"UnitPrice {text} is more than {PRICE_LIMIT_MINOR // 100} pounds")
    return pence


@lru_cache(maxsize=4_096)
def _utc(text: str) -> datetime:
    """Of local time. In the hour that comes twice in autumn the first one is meant."""
    date = _DATE.fullmatch(text)
    if date is None:
        raise BadLine(f"InvoiceDate {text!r} is not M/D/YYYY H:MM")
    try:
        local = datetime(**{name: int(part) for name, part in date.groupdict("0").items()}, tzinfo=LOCAL)
    except ValueError as error:
        raise BadLine(f"InvoiceDate {text!r}: {error}") from error
    return local.astimezone(UTC)


def _title(description: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in description).split())[:300]
