from __future__ import annotations

from typing import NamedTuple

from domain.events.base import AnyEvent


class Recorded(NamedTuple):
    """An event and where it stands in the log. Positions rise in the order of the commits; there may be gaps."""

    position: int
    event: AnyEvent
