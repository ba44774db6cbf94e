from __future__ import annotations

from datetime import UTC, datetime

import pytest

from counterfoil.imports.records import Record, Rejected
from counterfoil.imports.retail.invoices import InvoiceFile, Sale, put_together
from counterfoil.imports.retail.lines import COLUMNS
from counterfoil.imports.retail.plan import Cancellation, Plan, Return, plan
from domain.values import Item


def read(*lines: str) -> InvoiceFile:
    """Of `invoice code quantity day price [customer]`, all at 10:00 on a day of March 2011."""
    records: list[Record | Rejected] = []
    for number, line in enumerate(lines, start=2):
        invoice, code, quantity, day, price, *customer = line.split()
        values = (invoice, code, code, quantity, f"3/{day}/2011 10:00", price, *(customer or ["12345"]), "France")
        records.append(Record(number, line, dict(zip(COLUMNS, values, strict=True))))
    return put_together(records)


def planned(*lines: str) -> Plan:
    return plan(read(*lines).invoices)


def shown(plan: Plan) -> list[str]:
    """What each step is, and on which invoice."""
    names = []
    for step in plan.steps:
        match step:
            case Sale(number=number):
                names.append(f"sale {number}")
            case Cancellation(invoice=invoice, sale=sale):
                names.append(f"{invoice.number} cancels {sale.number}")
            case Return(invoice=invoice, sale=sale, items=items):
                parts = ", ".join(f"{item.quantity} {item.product_id}" for item in items)
                names.append(f"{invoice.number} returns {parts} of {sale.number}")
    return names


def test_lines_of_one_code_and_price_are_one_of_the_summed_quantity() -> None:
    (sale,) = planned("1 22636 2 1 1.50", "1 22636 3 1 1.50", "1 22637 1 1 1.50").sales
    assert [(line.sku, line.quantity) for line in sale.lines] == [("22636", 5), ("22637", 1)]
    assert (sale.units, sale.total.amount) == (6, 900)


def test_a_further_price_within_one_invoice_is_a_product_of_its_own() -> None:
    (sale,) = planned("1 M 1 1 1.50", "1 M 2 1 280.05", "1 M 1 1 1.5").sales
    assert [(line.sku, line.code, line.quantity) for line in sale.lines] == [("M", "M", 2), ("M.at-280.05", "M", 2)]


def test_invoices_come_in_the_order_of_their_times() -> None:
    found = planned("2 22636 1 5 1", "1 22636 1 4 1", "3 22636 1 4 1")
    assert shown(found) == ["sale 1", "sale 3", "sale 2"]
    assert found.sales[0].at == datetime(2011, 3, 4, 10, tzinfo=UTC)


def test_an_order_that_is_taken_back_whole_is_cancelled() -> None:
    found = planned("1 22636 5 1 2", "1 POST 1 1 18", "C2 22636 -5 2 2", "C2 POST -1 2 18")
    assert shown(found) == ["sale 1", "C2 cancels 1"]


def test_an_order_that_is_taken_back_in_part_is_a_return() -> None:
    found = planned("1 22636 5 1 2", "1 POST 1 1 18", "C2 22636 -5 2 2")
    assert shown(found) == ["sale 1", "C2 returns 5 22636 of 1"]


def test_what_is_left_of_an_order_comes_back_as_a_return() -> None:
    found = planned("1 22636 5 1 2", "C2 22636 -2 2 2", "C3 22636 -3 3 2", "C4 22636 -1 4 2")
    assert shown(found) == ["sale 1", "C2 returns 2 22636 of 1", "C3 returns 3 22636 of 1"]
    assert [each.reason for each in found.unmatched] == [
        "of the earlier invoices of customer 12345 none has 1 of 22636 at 2.00 left"
    ]


def test_the_latest_earlier_invoice_that_has_it_all_is_the_one() -> None:
    found = planned(
        "1 22636 5 1 2", "2 22636 5 2 2", "3 22636 1 3 2", "C4 22636 -2 4 2", "5 22636 9 5 2", "C6 22636 -5 6 2"
    )
    assert shown(found)[3:] == ["C4 returns 2 22636 of 2", "sale 5", "C6 returns 5 22636 of 5"]


def test_a_further_price_goes_back_as_the_product_it_was_sold_as() -> None:
    found = planned("1 M 1 1 1.50", "1 M 2 1 280.05", "C2 M -1 2 280.05")
    step = found.steps[1]
    assert isinstance(step, Return)
    assert step.items == (Item("M.at-280.05", 1),)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["C2 22636 -1 2 2"], "customer 12345 has no earlier invoice"),
        (["1 22636 1 1 2 777", "C2 22636 -1 2 2"], "customer 12345 has no earlier invoice"),
        (["C2 22636 -1 2 2", "3 22636 1 3 2"], "customer 12345 has no earlier invoice"),
        (["1 22637 1 1 2", "C2 22636 -1 2 2"], "no earlier invoice of customer 12345 has 22636"),
        (["1 22636 1 1 2", "C2 22636 -1 2 3"], "no earlier invoice of customer 12345 has 22636 at 3.00"),
        (["1 22636 1 1 2", "C2 22636 -2 2 2"], "no earlier invoice of customer 12345 has 2 of 22636 at 2.00"),
        (
            ["1 22636 1 1 2", "2 22637 1 2 2", "C3 22636 -1 3 2", "C3 22637 -1 3 2"],
            "no one earlier invoice of customer 12345 has all of its 2 items",
        ),
    ],
)
def test_what_matches_no_invoice_is_listed_with_the_reason(lines: list[str], reason: str) -> None:
    found = planned(*lines)
    assert [each.reason for each in found.unmatched] == [reason]
    assert all(isinstance(step, Sale) for step in found.steps)


def test_an_invoice_that_no_cart_holds_is_set_apart() -> None:
    found = planned(
        *(f"1 {10000 + number} 1 1 2" for number in range(1_001)), "2 22636 900000 1 2", "2 22636 900000 1 2"
    )
    assert [each.reason for each in found.impossible] == [
        "1001 different products; a cart holds at most 1000",
        "1800000 of 22636; a cart holds at most 1000000 of one product",
    ]
    assert found.steps == ()


def test_a_line_of_another_customer_is_not_the_invoices() -> None:
    file = read("1 22636 1 1 2", "1 22637 1 1 2 777", "1 22638 1 1 2")
    assert [(each.line, each.reason) for each in file.rejected] == [(3, "invoice 1 is customer 12345's, not 777's")]
    assert [line.code for line in plan(file.invoices).sales[0].lines] == ["22636", "22638"]


def test_the_ids_are_derived_from_the_invoice() -> None:
    first, again = (planned("1 22636 1 1 2").sales[0] for _ in range(2))
    assert first.order_id == again.order_id
    assert first.order_id != planned("2 22636 1 1 2").sales[0].order_id
