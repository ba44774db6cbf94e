from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commandside.commands import AddProduct
from commandside.commands.fields import MoneyField
from counterfoil.imports.records import Record
from counterfoil.imports.retail.lines import BadLine, InvoiceLine, parse
from counterfoil.imports.retail.products import kind, sku, sku_at

GOOD = {
    "InvoiceNo": "536367",
    "StockCode": "84879",
    "Description": "ASSORTED COLOUR BIRD ORNAMENT ",
    "Quantity": "32",
    "InvoiceDate": "12/1/2010 8:34",
    "UnitPrice": "1.69",
    "CustomerID": "13047",
    "Country": "United Kingdom",
}


def line(**changes: str) -> InvoiceLine:
    return parse(Record(2, "text", GOOD | changes))


def test_a_line_is_read_as_it_stands() -> None:
    found = line()
    assert (found.invoice, found.takes_back, found.code, found.quantity) == ("536367", False, "84879", 32)
    assert (found.title, found.price_minor, found.customer) == ("ASSORTED COLOUR BIRD ORNAMENT", 169, "13047")
    assert found.at == datetime(2010, 12, 1, 8, 34, tzinfo=UTC)


def test_summer_time_is_an_hour_ahead_of_utc() -> None:
    assert line(InvoiceDate="7/1/2011 8:34").at == datetime(2011, 7, 1, 7, 34, tzinfo=UTC)
    assert line(InvoiceDate="3/27/2011 0:59").at == datetime(2011, 3, 27, 0, 59, tzinfo=UTC)
    assert line(InvoiceDate="3/27/2011 2:00").at == datetime(2011, 3, 27, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("price", "pence"), [("0", 0), ("0.0", 0), ("2.1", 210), ("2.10", 210), ("12", 1200), ("0.07", 7), ("4.9500", 495)]
)
def test_prices_are_exact_pence(price: str, pence: int) -> None:
    assert line(UnitPrice=price).price_minor == pence


def test_what_is_taken_back_is_counted_up() -> None:
    found = line(InvoiceNo="C536379", Quantity="-3")
    assert (found.takes_back, found.quantity) == (True, 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"InvoiceNo": "A563185"}, "InvoiceNo 'A563185' is not an invoice"),
        ({"InvoiceNo": ""}, "InvoiceNo"),
        ({"StockCode": ""}, "no StockCode"),
        ({"StockCode": "x" * 49}, "more than 48 characters"),
        ({"StockCode": "é" * 9}, "more than 48 characters"),
        ({"Quantity": "-3"}, "Quantity -3 is not positive outside a C invoice"),
        ({"Quantity": "0"}, "not positive"),
        ({"Quantity": "1.5"}, "not a whole number"),
        ({"Quantity": "1000001"}, "more than 1000000 units"),
        ({"InvoiceNo": "C536367"}, "not negative on an invoice that takes back"),
        ({"InvoiceDate": "13/1/2010 8:34"}, "month must be in 1..12"),
        ({"InvoiceDate": "2/30/2011 8:34"}, "InvoiceDate '2/30/2011 8:34'"),
        ({"InvoiceDate": "yesterday"}, "not M/D/YYYY H:MM"),
        ({"UnitPrice": "-1.69"}, "UnitPrice -1.69 is negative"),
        ({"UnitPrice": "-11062.06"}, "negative"),
        ({"UnitPrice": "0.001"}, "finer than a penny"),
        ({"UnitPrice": "1e3"}, "no amount of pounds"),
        ({"UnitPrice": "nan"}, "no amount of pounds"),
        ({"UnitPrice": ""}, "no amount of pounds"),
        ({"UnitPrice": "99999999"}, "more than 10000000 pounds"),
        ({"CustomerID": ""}, "no CustomerID"),
        ({"CustomerID": "x"}, "CustomerID 'x' is no number"),
        ({"Country": ""}, "a Country has 1 to 100 characters"),
    ],
)
def test_a_bad_line_is_refused_with_its_reason(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(BadLine) as refusal:
        line(**changes)
    assert reason in str(refusal.value)


def test_a_spreadsheets_customer_is_the_same_customer() -> None:
    assert line(CustomerID="13047.0").customer == "13047"


def test_without_a_description_the_code_is_the_title() -> None:
    assert line(Description=" ").title == "84879"
    assert line(Description="a\x00b  c").title == "a b c"


@pytest.mark.parametrize(
    "code", ["POST", "M", "m", "D", "C2", "DOT", "S", "BANK CHARGES", "CRUK", "gift_0001_20", "PADS"]
)
def test_services_have_no_stock(code: str) -> None:
    assert kind(code) == "service"


@pytest.mark.parametrize("code", ["84879", "85123A", "15056BL", "DCGS0003", "SP1002", "79323LP"])
def test_goods_have(code: str) -> None:
    assert kind(code) == "goods"


def test_a_sku_is_the_code_where_it_can_be() -> None:
    assert (sku("85123A"), sku("BANK CHARGES"), sku_at("M", 28005)) == ("85123A", "BANK~20CHARGES", "M.at-280.05")


codes = st.text(min_size=1, max_size=8).filter(str.strip).map(str.strip)


@given(first=codes, second=codes, price_minor=st.integers(0, 10**9))
def test_every_code_has_a_sku_of_its_own_that_the_shop_takes(first: str, second: str, price_minor: int) -> None:
    try:
        lines = [line(StockCode=code) for code in (first, second)]
    except (BadLine, UnicodeEncodeError):
        return
    assert (sku(first) == sku(second)) == (first == second)
    for each in lines:
        for name in (sku(each.code), sku_at(each.code, price_minor)):
            price = MoneyField(amount=price_minor, currency="GBP")
            AddProduct(sku=name, title=each.title, category=("Gifts",), price=price)
