"""The names of the keys under which signals are counted. They have no generations: counters are not built beside."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from projections.keys import ROOT

PREFIX: Final = f"{ROOT}:signals"
# A sorted set of at most so many: what is trending, as it was last asked for.
TRENDING_NOW: Final = f"{PREFIX}:trending-now"
# The orders that are counted are kept in so many sets, small enough to be stored without the overhead of large ones.
_COUNTED_HEX_DIGITS: Final = 4


def bought_with(sku: str) -> str:
    """A sorted set: SKU -> in how many orders both were."""
    return f"{PREFIX}:bought-with:{sku}"


def bucket(minute: int) -> str:
    """A sorted set: SKU -> its score in that minute (minutes since 1970)."""
    return f"{PREFIX}:trending:{minute}"


def counted(order_id: UUID) -> str:
    """A set: the ids (16 bytes each) of orders that are in the counters."""
    return f"{PREFIX}:counted:{order_id.hex[-_COUNTED_HEX_DIGITS:]}"
