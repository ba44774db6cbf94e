from __future__ import annotations

import pytest

from projections.recorded import Recorded
from projections.search.sale import Sale, evolve
from projections.versions import VersionGap
from tests.integration.search.shop import Shop


def sale_after(history: list[Recorded]) -> Sale:
    sale = None
    for recorded in history:
        sale = evolve(sale, recorded.event)
    assert sale is not None
    return sale


def test_counts_from_the_moment_it_is_placed() -> None:
    shop = Shop()
    shop.submit("o", a=2, b=1)
    assert sale_after(shop.history).counted() == {}
    shop.place("o")
    assert sale_after(shop.history).counted() == {"a": 2, "b": 1}


def test_counts_for_nothing_once_cancelled_or_not_paid() -> None:
    cancelled, unpaid = Shop(), Shop()
    cancelled.sell("o", a=2)
    cancelled.cancel("o")
    unpaid.submit("o", a=2)
    unpaid.fail_payment("o")
    assert sale_after(cancelled.history).counted() == sale_after(unpaid.history).counted() == {}


def test_a_return_counts_when_it_is_received() -> None:
    shop = Shop()
    shop.sell("o", a=3)
    shop.request_return("o", "r1", a=1)
    shop.request_return("o", "r2", a=2)
    assert sale_after(shop.history).counted() == {"a": 3}
    shop.receive_return("o", "r2")
    assert sale_after(shop.history).counted() == {"a": 1}
    shop.receive_return("o", "r1")
    assert sale_after(shop.history).counted() == {"a": 0}


def test_what_was_applied_before_changes_nothing() -> None:
    shop = Shop()
    shop.sell("o", a=3)
    shop.request_return("o", "r1", a=1)
    shop.receive_return("o", "r1")
    sale = sale_after(shop.history)
    for recorded in shop.history:
        assert evolve(sale, recorded.event) is sale


def test_without_its_beginning_it_is_a_gap() -> None:
    shop = Shop()
    shop.sell("o", a=3)
    with pytest.raises(VersionGap):
        evolve(None, shop.history[1].event)
