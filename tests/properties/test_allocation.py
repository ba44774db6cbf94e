"""Which warehouse sends what: exactly what was asked for, never more than is there, from one place if possible."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.allocation import allocate
from domain.errors import InsufficientStock
from domain.values import Item
from tests.strategies import SKUS

Stock = dict[str, dict[str, int]]
WAREHOUSES = ("north", "south", "east")

stocks = st.fixed_dictionaries(
    {sku: st.dictionaries(st.sampled_from(WAREHOUSES), st.integers(0, 6), max_size=3) for sku in SKUS}
)
orders = st.lists(st.builds(Item, st.sampled_from(SKUS), st.integers(1, 9)), unique_by=lambda item: item.product_id)


@given(items=orders, stock=stocks)
def test_claims_cover_what_was_asked_for_or_it_is_refused(items: list[Item], stock: Stock) -> None:
    short = [item for item in items if item.quantity > sum(stock[item.product_id].values())]
    if short:
        with pytest.raises(InsufficientStock) as refused:
            allocate(items, stock)
        first = short[0]
        there = sum(stock[first.product_id].values())
        assert refused.value.figures == {
            "product_id": first.product_id, "requested": first.quantity, "available": there,
        }  # fmt: skip
        return

    claims = allocate(items, stock)

    covered: Counter[str] = Counter()
    for claim in claims:
        covered[claim.sku] += claim.quantity
        assert 1 <= claim.quantity <= stock[claim.sku][claim.warehouse_id]
    assert covered == Counter({item.product_id: item.quantity for item in items})
    places = [(claim.sku, claim.warehouse_id) for claim in claims]
    assert len(places) == len(set(places)), "one claim per SKU and warehouse"


@given(items=orders, stock=stocks)
def test_one_warehouse_that_has_everything_sends_everything(items: list[Item], stock: Stock) -> None:
    whole = {w for w in WAREHOUSES if all(stock[item.product_id].get(w, 0) >= item.quantity for item in items)}
    if whole and items:
        senders = {claim.warehouse_id for claim in allocate(items, stock)}
        assert len(senders) == 1
        assert senders <= whole


def test_of_several_that_have_everything_the_first_one_sends() -> None:
    stock = {"lamp": {"south": 9, "north": 50}}
    assert [claim.warehouse_id for claim in allocate([Item("lamp", 2)], stock)] == ["south"]


def test_what_no_place_has_alone_comes_from_where_most_is() -> None:
    stock = {"lamp": {"south": 2, "north": 5, "east": 1}}
    claims = allocate([Item("lamp", 7)], stock)
    assert [(claim.warehouse_id, claim.quantity) for claim in claims] == [("north", 5), ("south", 2)]


def test_a_sku_that_lies_nowhere_is_short() -> None:
    with pytest.raises(InsufficientStock):
        allocate([Item("lamp", 1)], {"lamp": {}})
