"""The comparison that the relay's tests stand on can fail."""

from __future__ import annotations

from uuid import UUID

import pytest

from streams.envelope import PositionMarker
from tests.integration.relay.kafka_contents import Contents, Sent, compare

ONE, TWO = UUID(int=1), UUID(int=2)
LOG: dict[UUID, list[Sent]] = {ONE: [(1, ONE, 1), (3, ONE, 2), (4, ONE, 3)], TWO: [(2, TWO, 1)]}
FIRST, SECOND, THIRD = LOG[ONE]
(OTHER,) = LOG[TWO]


def held(*partition: Sent | PositionMarker) -> Contents:
    return Contents({("cart-events", 0): list(partition), ("cart-events", 1): [OTHER, PositionMarker(4)]})


def test_all_of_it_in_order_is_taken() -> None:
    assert compare(held(FIRST, PositionMarker(2), SECOND, THIRD, PositionMarker(4)), LOG) == 0


def test_what_came_again_is_counted() -> None:
    assert compare(held(FIRST, SECOND, FIRST, SECOND, PositionMarker(3), THIRD, PositionMarker(2)), LOG) == 2


@pytest.mark.parametrize(
    "partition",
    [
        (FIRST, SECOND),
        (FIRST, THIRD, SECOND),
        (FIRST, SECOND, THIRD, (5, ONE, 4)),
        (FIRST, PositionMarker(3), SECOND, THIRD),
        (PositionMarker(1), FIRST, SECOND, THIRD),
    ],
)
def test_what_is_missing_added_overtaken_or_marked_too_early_is_found(
    partition: tuple[Sent | PositionMarker, ...],
) -> None:
    with pytest.raises(AssertionError):
        compare(held(*partition), LOG)
