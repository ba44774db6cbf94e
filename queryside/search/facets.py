"""How facets are cut: the same by every engine."""

from __future__ import annotations

from typing import Final

MAX_FACET_VALUES: Final = 50
PRICE_BOUNDS: Final = (1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000)
