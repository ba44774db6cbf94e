"""How the read models get what they are made of: over the bus, with the relay before it and the worker behind it."""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Final, Protocol

from counterfoil.simulation.bus import Bus
from counterfoil.simulation.faults import FaultKind
from counterfoil.simulation.read_models import ReadModels
from counterfoil.simulation.relay import Relay
from counterfoil.simulation.worker import Worker
from counterfoil.simulation.world import World

# At the end, when nothing goes wrong any more, all that is in the log is in the read models within this time.
CATCHES_UP_WITHIN_SECONDS: Final = 60.0


class ReadSide(Protocol):
    """`faults` are what nobody expected."""

    @property
    def faults(self) -> list[str]: ...

    async def run(self) -> None:
        """Until cancelled."""

    def befall(self, kind: FaultKind, seconds: float) -> None:
        """A fault of the bus, the relay or the worker."""

    async def finish(self) -> None:
        """Nothing goes wrong any more: the read models come to hold all of the log."""


class ByBus:
    def __init__(self, world: World, models: ReadModels) -> None:
        self._world = world
        self._bus = Bus()
        self._relay = Relay(world, self._bus)
        self._worker = Worker(world, self._bus, models)
        self._is_worker_up = False

    @property
    def faults(self) -> list[str]:
        return self._worker.faults

    async def run(self) -> None:
        await self._begin_worker(0.0)
        await self._relay.run()

    def befall(self, kind: FaultKind, seconds: float) -> None:
        match kind:
            case "relay_changes":
                self._relay.change_leader(seconds)
            case "bus_away":
                self._bus.away_until_seconds = max(self._bus.away_until_seconds, self._world.now_seconds + seconds)
            case "worker_dies" if self._is_worker_up:
                self._is_worker_up = False
                self._worker.die()
                self._apart(self._begin_worker(seconds))

    async def finish(self) -> None:
        until = self._world.now_seconds + CATCHES_UP_WITHIN_SECONDS
        while not self._relay.has_sent_all or not self._worker.has_taken_all:
            if self._world.now_seconds > until:
                self.faults.append(f"the read models are behind the log for {CATCHES_UP_WITHIN_SECONDS} s")
                return
            await self._world.later(1.0, lambda: None)
        self._worker.die()

    async def _begin_worker(self, after_seconds: float) -> None:
        await self._world.later(after_seconds, lambda: None)
        self._forget_a_part()
        await self._worker.start()
        self._is_worker_up = True

    def _forget_a_part(self) -> None:
        """Now and then the bus no longer holds what the worker would begin with: it is in the log."""
        dice = self._world.dice
        for partition in self._bus.partitions.values():
            if dice.random() < 0.6:
                partition.forget(partition.end_offset - dice.choice((0, 1, 20)))

    def _apart(self, work: Coroutine[Any, Any, None]) -> None:
        self._world.loop.create_task(work, context=Context())
