from __future__ import annotations

from enum import IntEnum
from random import Random


class Part(IntEnum):
    """Each has dice of its own, so that what one throws is not another's to know."""

    SCENARIO = 0
    WAYS = 1
    ORDER = 2
    SOURCES = 3


def dice_of(seed: int, part: Part) -> Random:
    return Random(seed * len(Part) + part)  # noqa: S311 (whoever has the seed is to have the same)
