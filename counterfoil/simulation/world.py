"""What all parts of a run share: the time, the log, what goes wrong, and the dice of each part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, TypeVar
from uuid import UUID

from counterfoil.simulation.faults import Adversity
from counterfoil.simulation.log import SimulatedLog
from counterfoil.simulation.loop import VirtualLoop
from counterfoil.simulation.outages import Outages

OPENED_AT: Final = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PROCESSES_COUNT: Final = 2
T = TypeVar("T")


@dataclass(slots=True)
class World:
    """`offsets_seconds`: how far each process's wall clock is off. Until `dark_until_seconds` the provider is gone."""

    loop: VirtualLoop
    log: SimulatedLog
    adversity: Adversity
    dice: Random
    offsets_seconds: list[float] = field(default_factory=lambda: [0.0] * PROCESSES_COUNT)
    dark_until_seconds: float = 0.0
    outages: Outages = field(init=False)

    def __post_init__(self) -> None:
        self.outages = Outages(self.loop.time)

    @property
    def now_seconds(self) -> float:
        return self.loop.time()

    def true_time(self) -> datetime:
        return OPENED_AT + timedelta(seconds=round(self.loop.time(), 6))

    def wall_clock(self, process: int) -> datetime:
        """What a process takes for the time."""
        return self.true_time() + timedelta(seconds=self.offsets_seconds[process])

    def new_id(self) -> UUID:
        """As UUIDv7 are: the time first, then dice."""
        milliseconds = int((OPENED_AT.timestamp() + self.loop.time()) * 1_000)
        drawn = self.dice.getrandbits(74)
        return UUID(int=milliseconds << 80 | 0x7 << 76 | (drawn >> 62) << 64 | 0x2 << 62 | drawn & ((1 << 62) - 1))

    def later(self, delay_seconds: float, act: Callable[[], T]) -> asyncio.Future[T]:
        """What is under way arrives, also when nobody waits for it any more."""
        future: asyncio.Future[T] = self.loop.create_future()
        self.loop.call_later(delay_seconds, _arrive, future, act)
        return future


def _arrive(future: asyncio.Future[T], act: Callable[[], T]) -> None:
    try:
        result = act()
    except Exception as error:
        if not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)
