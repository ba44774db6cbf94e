"""How old anything may be before it is a trouble."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

# The sweep looks every 2 s, and gives the provider 3 s to say something: a minute is for one that has much to do.
GRACE: Final = timedelta(seconds=60)
# Attempts are 5 minutes apart at the longest: two of them have failed then.
REFUND_WITHIN: Final = timedelta(minutes=10)
UNSETTLED_WITHIN: Final = timedelta(minutes=10)
CAPTURE_WITHIN: Final = timedelta(minutes=5)
# The provider tries a webhook again every 30 s.
WEBHOOK_WITHIN: Final = timedelta(minutes=5)
CONSUMER_LAG_WITHIN: Final = timedelta(seconds=60)


def in_words(bound: timedelta) -> str:
    seconds = int(bound.total_seconds())
    return f"{seconds // 60} min" if seconds >= 120 and seconds % 60 == 0 else f"{seconds} s"
