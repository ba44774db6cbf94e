"""Feeds the read models from the log itself, as on one machine: some of it twice, some of it never."""

from __future__ import annotations

from typing import Final

from counterfoil.simulation.faults import FaultKind
from counterfoil.simulation.read_models import ReadModels
from counterfoil.simulation.world import World

BATCH_EVENTS: Final = 200
PAUSE_SECONDS: Final = 2.0


class Projector:
    def __init__(self, world: World, models: ReadModels) -> None:
        self._world = world
        self._models = models
        self._position = 0
        self.faults: list[str] = []

    async def run(self) -> None:
        while True:
            self._take_batch()
            await self._world.later(PAUSE_SECONDS, lambda: None)

    def befall(self, kind: FaultKind, seconds: float) -> None:
        """What goes wrong with a bus goes wrong with one."""

    async def finish(self) -> None:
        """To the end of the log. All of it comes once more."""
        for _, event in self._world.log.read_on(0, len(self._world.log.rows)):
            self._models.apply(event)

    def _take_batch(self) -> None:
        """Now and then a batch comes again, or an event of it does not come at all."""
        dice = self._world.dice
        if dice.random() < 0.02:
            self._position = max(0, self._position - dice.randrange(BATCH_EVENTS))
        batch = self._world.log.read_on(self._position, BATCH_EVENTS)
        if not batch:
            return
        lost = dice.randrange(50 * len(batch))
        for place, (_, event) in enumerate(batch):
            if place != lost:
                self._models.apply(event)
        self._position = batch[-1].position
