from __future__ import annotations

import pytest

from projections.availability import Availability, availability


@pytest.mark.parametrize(
    ("units", "status"),
    [(6, "in_stock"), (5, "low_stock"), (1, "low_stock"), (0, "out_of_stock")],
)
def test_goods_are_told_by_their_units(units: int, status: str) -> None:
    told = availability("goods", units)
    assert (told.status, told.quantity) == (status, units)


def test_a_service_is_always_there_and_not_counted() -> None:
    assert availability("service", 0) == Availability("in_stock", None)
