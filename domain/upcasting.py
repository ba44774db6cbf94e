"""How old events are carried forward when they are read. What was stored is never changed.

An entry says: a stored event under the old topic reads as one under the next topic, with the state that the function
makes of the old state (plain JSON values). Entries chain: v1 -> v2 -> v3. The class of an old topic is deleted once it
has an entry here; its golden files in tests/history/ stay and prove that it still loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

State = dict[str, Any]
Upcasters = Mapping[str, tuple[str, Callable[[State], State]]]


def _order_placed_v2(state: State) -> State:
    """An order was placed only when its payment had been taken."""
    return {**state, "payment_captured": True}


def _checkout_completed_v2(state: State) -> State:
    return {**state, "capture_after": None}


UPCASTERS: Upcasters = {
    "order.placed.v1": ("order.placed.v2", _order_placed_v2),
    "checkout.completed.v1": ("checkout.completed.v2", _checkout_completed_v2),
}
