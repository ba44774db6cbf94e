"""What an order comes to is the sum of its parts, to the minor unit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import CurrencyMismatch
from domain.pricing import ShippingMethod, Tariff, UnknownShippingMethod, price
from domain.values import Money, OrderLine
from tests.strategies import currencies, order_lines

STANDARD = ShippingMethod("standard", 399, 4)
EXPRESS = ShippingMethod("express", 1_099, 1)


def tariff(tax_basis_points: int) -> Tariff:
    return Tariff({"standard": STANDARD, "express": EXPRESS}, "standard", tax_basis_points)


@given(lines=order_lines(), fee=st.integers(0, 10**6), tax_basis_points=st.integers(0, 3_000))
def test_the_total_is_lines_and_shipping_and_tax(lines: tuple[OrderLine, ...], fee: int, tax_basis_points: int) -> None:
    totals = price(lines, ShippingMethod("any", fee, 3), tariff(tax_basis_points))

    assert totals.subtotal.amount == sum(line.quantity * line.unit_price.amount for line in lines)
    assert totals.shipping_fee == Money(fee, "GBP")
    assert totals.total == totals.subtotal + totals.shipping_fee + totals.tax


@given(lines=order_lines(), tax_basis_points=st.integers(0, 3_000))
def test_tax_is_rounded_half_up_once(lines: tuple[OrderLine, ...], tax_basis_points: int) -> None:
    totals = price(lines, STANDARD, tariff(tax_basis_points))

    exact = Fraction(totals.subtotal.amount * tax_basis_points, 10_000)
    assert -Fraction(1, 2) < totals.tax.amount - exact <= Fraction(1, 2)


@pytest.mark.parametrize(("amount", "tax"), [(2, 0), (3, 1), (20, 4), (60, 11), (1_000, 175)])
def test_half_a_penny_is_a_penny(amount: int, tax: int) -> None:
    # 17.5 %: 0.35, 0.525, 3.5, 10.5 and 175.
    line = OrderLine("lamp", "Lamp", 1, Money(amount, "GBP"))
    assert price([line], STANDARD, tariff(1_750)).tax == Money(tax, "GBP")


@given(lines=order_lines(least_count=2), other=currencies.filter(lambda currency: currency != "GBP"))
def test_lines_in_two_currencies_have_no_total(lines: tuple[OrderLine, ...], other: str) -> None:
    strange = OrderLine("chair", "Chair", 1, Money(1, other))
    with pytest.raises(CurrencyMismatch):
        price([*lines, strange], STANDARD, tariff(0))


@given(lines=order_lines("JPY"))
def test_everything_is_in_the_currency_of_the_lines(lines: tuple[OrderLine, ...]) -> None:
    totals = price(lines, EXPRESS, tariff(1_000))
    assert {part.currency for part in (totals.subtotal, totals.shipping_fee, totals.tax, totals.total)} == {"JPY"}


def test_the_shipping_method_is_the_one_named_or_the_default() -> None:
    assert tariff(0).shipping_method("express") is EXPRESS
    assert tariff(0).shipping_method(None) is STANDARD
    with pytest.raises(UnknownShippingMethod) as refused:
        tariff(0).shipping_method("pigeon")
    assert refused.value.figures == {"known": ["express", "standard"]}
