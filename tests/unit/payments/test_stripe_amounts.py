from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commandside.payments.stripe_amounts import NotAnAmount, from_stripe, to_stripe
from domain.values import Money

# From the table of special cases, and the lists, on Stripe's page on currencies.
SAME = [(Money(1099, "GBP"), 1099), (Money(500, "JPY"), 500), (Money(1050, "HUF"), 1050), (Money(80045, "TWD"), 80045)]
OTHER = [(Money(5, "ISK"), 500), (Money(5, "UGX"), 500), (Money(500, "MGA"), 5), (Money(5120, "KWD"), 5120)]


@pytest.mark.parametrize(("ours", "theirs"), [*SAME, *OTHER])
def test_an_amount_is_what_stripe_counts(ours: Money, theirs: int) -> None:
    assert to_stripe(ours) == theirs
    assert from_stripe(theirs, ours.currency.lower()) == ours


@pytest.mark.parametrize("money", [Money(5124, "KWD"), Money(1, "BHD"), Money(551, "MGA")])
def test_what_would_have_to_be_rounded_is_no_amount(money: Money) -> None:
    with pytest.raises(NotAnAmount):
        to_stripe(money)


def test_half_a_krona_of_stripes_is_no_amount_of_ours() -> None:
    with pytest.raises(NotAnAmount):
        from_stripe(550, "isk")


@given(st.integers(0, 10**12), st.sampled_from(["GBP", "JPY", "ISK", "UGX", "MGA", "KWD", "HUF"]))
def test_what_is_sent_comes_back(amount: int, currency: str) -> None:
    try:
        theirs = to_stripe(Money(amount, currency))
    except NotAnAmount:
        return
    assert from_stripe(theirs, currency.lower()) == Money(amount, currency)
