"""The read models, by their real evolve functions, in memory: what Valkey holds of them in a running shop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import UUID

import msgspec

from counterfoil.simulation.log import SimulatedLog
from domain.events import AnyEvent
from projections import cart, order, product_page, stock_level
from projections.versions import VersionGap

_VIEWS: Final = {"product": product_page, "stock": stock_level, "cart": cart, "order": order}
VIEW_NAMES: Final = tuple(_VIEWS)
_EVOLVING: Final[dict[type, tuple[str, Callable[[Any, AnyEvent], Any]]]] = {
    event_type: (name, module.evolve) for name, module in _VIEWS.items() for event_type in module.EVENT_TYPES
}
Views = dict[str, dict[UUID, Any]]


class ReadModels:
    """`views` by name and stream; `orders` in the order in which they came."""

    def __init__(self, log: SimulatedLog) -> None:
        self.views: Views = {name: {} for name in _VIEWS}
        self.orders: list[UUID] = []
        self._log = log

    def apply(self, event: AnyEvent, only: str | None = None) -> None:
        """Of an event whose predecessors did not come, the stream itself is read. `only`: what else it is for is not
        this one's.
        """
        found = _EVOLVING.get(type(event))
        if found is None or only not in (None, found[0]):
            return
        name, evolve = found
        views, stream_id = self.views[name], event.originator_id
        view = views.get(stream_id)
        if view is None and name == "order":
            self.orders.append(stream_id)
        try:
            views[stream_id] = evolve(view, event)
        except VersionGap as gap:
            for missing in self._log.read_streams({stream_id: gap.held_version})[stream_id]:
                views[stream_id] = evolve(views.get(stream_id), missing)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, dict[str, bytes]]:
        return {
            name: {str(stream): msgspec.json.encode(view) for stream, view in sorted(held.items())}
            for name, held in self.views.items()
        }


def replayed(log: SimulatedLog, events: Iterable[AnyEvent]) -> ReadModels:
    """What they are made of nothing."""
    models = ReadModels(log)
    for event in events:
        models.apply(event)
    return models
