"""Amounts as Stripe counts them, which is not for every currency as ISO 4217 does.

Stripe's page on currencies has the special cases: krónur and Ugandan shillings are sent with two decimals that are
always 00, ariary without any, and dinars and rials (three decimals) have to end in 0.
"""

from __future__ import annotations

from typing import Final

from domain.values import Money
from domain.values.currency import minor_digits

_DIGITS_AT_STRIPE: Final = {"ISK": 2, "UGX": 2, "MGA": 0}


class NotAnAmount(Exception):
    """Stripe has no number for this amount of this currency, or we have none for Stripe's."""


def to_stripe(money: Money) -> int:
    """The integer that Stripe takes for `money`. Raises NotAnAmount where it would have to be rounded."""
    ours = minor_digits(money.currency)
    if ours == 3 and money.amount % 10:
        raise NotAnAmount(f"in {money.currency} the last of three decimals has to be 0")
    return _shifted(money.amount, _digits_at_stripe(money.currency) - ours, money.currency)


def from_stripe(amount: int, currency: str) -> Money:
    """`currency` is as Stripe writes it, in small letters. Raises NotAnAmount where we have no such number."""
    code = currency.upper()
    return Money(_shifted(amount, minor_digits(code) - _digits_at_stripe(code), code), code)


def _digits_at_stripe(currency: str) -> int:
    return _DIGITS_AT_STRIPE.get(currency, minor_digits(currency))


def _shifted(amount: int, digits: int, currency: str) -> int:
    factor: int = 10 ** abs(digits)
    if digits >= 0:
        return amount * factor
    whole, rest = divmod(amount, factor)
    if rest:
        raise NotAnAmount(f"{amount} of {currency} has decimals that are not counted")
    return whole
