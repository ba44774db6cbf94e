"""The read models, by their real evolve functions, fed from the log: some of it twice, some of it never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec

from counterfoil.simulation.world import World
from domain.events import AnyEvent
from projections import cart, order, product_page, stock_level
from projections.versions import VersionGap

BATCH_EVENTS: Final = 200
PAUSE_SECONDS: Final = 2.0
_VIEWS: Final = {"product": product_page, "stock": stock_level, "cart": cart, "order": order}
_EVOLVING: Final[dict[type, tuple[str, Callable[[Any, AnyEvent], Any]]]] = {
    event_type: (name, module.evolve) for name, module in _VIEWS.items() for event_type in module.EVENT_TYPES
}
Views = dict[str, dict[UUID, Any]]


class Projector:
    def __init__(self, world: World, *, is_careless: bool = True) -> None:
        self.views: Views = {name: {} for name in _VIEWS}
        self.orders: list[UUID] = []
        self._world = world
        self._position = 0
        self._is_careless = is_careless

    async def run(self) -> None:
        while True:
            self.take_batch()
            await self._world.later(PAUSE_SECONDS, _nothing)

    def take_batch(self) -> bool:
        """False when there was nothing. Now and then a batch comes again, or an event of it does not come at all."""
        dice = self._world.dice
        if self._is_careless and dice.random() < 0.02:
            self._position = max(0, self._position - dice.randrange(BATCH_EVENTS))
        batch = self._world.log.read_on(self._position, BATCH_EVENTS)
        if not batch:
            return False
        lost = dice.randrange(50 * len(batch)) if self._is_careless else len(batch)
        for place, (_, event) in enumerate(batch):
            if place != lost:
                self._apply(event)
        self._position = batch[-1].position
        return True

    def catch_up(self) -> Views:
        """To the end of the log. All of it comes once more; returns what it makes of nothing: a replay."""
        replay = Projector(self._world, is_careless=False)
        for _, event in self._world.log.read_on(0, len(self._world.log.rows)):
            self._apply(event)
            replay._apply(event)
        return replay.views

    def _apply(self, event: AnyEvent) -> None:
        found = _EVOLVING.get(type(event))
        if found is None:
            return
        name, evolve = found
        views, stream_id = self.views[name], event.originator_id
        view = views.get(stream_id)
        if view is None and name == "order":
            self.orders.append(stream_id)
        try:
            views[stream_id] = evolve(view, event)
        except VersionGap as gap:
            for missing in self._world.log.read_streams({stream_id: gap.held_version})[stream_id]:
                views[stream_id] = evolve(views.get(stream_id), missing)  # type: ignore[arg-type]


def to_json(views: Views) -> dict[str, dict[str, bytes]]:
    return {
        name: {str(stream): msgspec.json.encode(view) for stream, view in sorted(held.items())}
        for name, held in views.items()
    }


def _nothing() -> None:
    pass
