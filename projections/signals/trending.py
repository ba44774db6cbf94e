"""What is trending: how often a product was seen and bought in a sliding hour, by the minute in which it happened."""

from __future__ import annotations

from datetime import datetime
from typing import Final

# In one place: how much one page view says, and one order that the product is in (however many units of it).
VIEW_WEIGHT: Final = 1
SALE_WEIGHT: Final = 25

WINDOW_MINUTES: Final = 60
KEPT_MINUTES: Final = 120
# A minute keeps its highest scores. It may gather more between, so that a newcomer has the time to rise.
BUCKET_KEPT_LIMIT_SKUS: Final = 1_000
BUCKET_GATHERED_LIMIT_SKUS: Final = 2_000


def minute_of(at: datetime) -> int:
    """Minutes since 1970."""
    return int(at.timestamp()) // 60


def window(at: datetime) -> list[int]:
    """The minutes of the hour that ends with this one."""
    last = minute_of(at)
    return list(range(last - WINDOW_MINUTES + 1, last + 1))


def kept_for_seconds(minute: int, at: datetime) -> int:
    """How long, from then on, the bucket of that minute is kept; 0 where there is none.

    One that lies ahead by more than the window is somebody's wrong clock. Relative, so that the store's clock need not
    be ours.
    """
    current = minute_of(at)
    if not current - KEPT_MINUTES <= minute <= current + WINDOW_MINUTES:
        return 0
    return (minute + 1 + KEPT_MINUTES) * 60 - int(at.timestamp())
