"""Money is exact, and of one currency at a time."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.errors import CurrencyMismatch
from domain.values import Money
from tests.strategies import amounts, currencies, money


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge])
@given(left=money, right=money)
def test_two_currencies_never_meet(operation: Callable[[Money, Money], object], left: Money, right: Money) -> None:
    assume(left.currency != right.currency)
    with pytest.raises(CurrencyMismatch) as refused:
        operation(left, right)
    assert set(refused.value.figures.values()) == {left.currency, right.currency}
    assert left != right


@given(st.lists(amounts, max_size=20), currencies)
def test_a_sum_is_exact(parts: list[int], currency: str) -> None:
    assert Money.total((Money(part, currency) for part in parts), currency) == Money(sum(parts), currency)


@given(st.lists(money, min_size=1, max_size=5), currencies)
def test_a_sum_of_two_currencies_is_refused(parts: list[Money], currency: str) -> None:
    assume({part.currency for part in parts} != {currency})
    with pytest.raises(CurrencyMismatch):
        Money.total(parts, currency)


@given(amounts, amounts, st.integers(-1_000, 1_000), currencies)
def test_arithmetic_is_that_of_integers(left: int, right: int, times: int, currency: str) -> None:
    a, b = Money(left, currency), Money(right, currency)
    assert a + b == b + a == Money(left + right, currency)
    assert a - b == Money(left - right, currency)
    assert a + b - b == a
    assert a * times == Money.total((Money(left * times, currency),), currency)
    assert (a < b, a <= b, a > b, a >= b) == (left < right, left <= right, left > right, left >= right)


@given(st.integers(10**15, 2**62), st.integers(1, 9))
def test_amounts_beyond_what_a_float_can_tell_apart_stay_exact(amount: int, more: int) -> None:
    assert (Money(amount, "GBP") + Money(more, "GBP") - Money(amount, "GBP")).amount == more
