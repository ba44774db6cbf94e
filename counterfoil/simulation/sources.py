"""What the product takes from outside by itself, put under the seed for the time of a run: clocks, dice, the log lines.

Ids, the wall clock, the store and the provider come in as arguments; these few do not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType
from typing import Any

from commandside import deciding, snapshotting, writer
from commandside.payments import guarded
from commandside.payments.settle import settle
from commandside.saga import capturing, checkout, resumption
from counterfoil.simulation.loop import VirtualLoop
from streams import agents, feeder

# Each reads `time.monotonic` or `time.perf_counter`, or writes log lines. A test finds a module that is missing here.
READ_TIME: tuple[ModuleType, ...] = (deciding, writer, checkout, resumption, agents)
WRITE_LINES: tuple[ModuleType, ...] = (
    writer, snapshotting, capturing, checkout, resumption, guarded, agents, feeder,
)  # fmt: skip
# How often a worker writes down where it is, in seconds: half of the time of a run would go into that.
AT_LEISURE = ((agents, "WATCH_SECONDS", 15.0),)
EXPECTED = frozenset({"capture refused"})
LONGEST_STEP_SECONDS = 0.000_2


class Clockwork:
    """Stands in for the module `time`. Computing takes no virtual time: how long it seems to take the dice say."""

    def __init__(self, loop: VirtualLoop, dice: Random) -> None:
        self._loop = loop
        self._dice = dice
        self._computed_seconds = 0.0

    def monotonic(self) -> float:
        return self._loop.time()

    def perf_counter(self) -> float:
        self._computed_seconds += self._dice.random() * LONGEST_STEP_SECONDS
        return self._loop.time() + self._computed_seconds


class Lines:
    """Stands in for a logger. `faults` are what was logged as an error, but for a provider that does not take what it
    holds: that is nobody's fault here, and for people to look at.
    """

    def __init__(self) -> None:
        self.warnings_count = 0
        self.alarms_count = 0
        self.faults: list[str] = []

    def warning(self, event: str, **figures: Any) -> None:
        self.warnings_count += 1

    def error(self, event: str, **figures: Any) -> None:
        if event in EXPECTED:
            self.alarms_count += 1
        else:
            self.faults.append(f"{event}: {figures!r}")

    def exception(self, event: str, **figures: Any) -> None:
        self.faults.append(f"{event}: {figures!r}: {sys.exc_info()[1]!r}")


@contextmanager
def under_the_seed(loop: VirtualLoop, dice: Random) -> Iterator[Lines]:
    """For one run at a time in a process: the modules themselves are given other sources meanwhile."""
    clockwork, lines = Clockwork(loop, dice), Lines()
    defaults = settle.__kwdefaults__
    assert defaults is not None
    kept_defaults = dict(defaults)
    kept = [(module, "time", module.time) for module in READ_TIME]
    kept += [(module, "_log", module._log) for module in WRITE_LINES]
    for module, name, _ in kept:
        setattr(module, name, clockwork if name == "time" else lines)
    for module, name, seconds in AT_LEISURE:
        kept.append((module, name, getattr(module, name)))
        setattr(module, name, seconds)
    defaults.update(clock=clockwork.monotonic, jitter=dice.random)
    try:
        yield lines
    finally:
        for module, name, source in kept:
            setattr(module, name, source)
        defaults.update(kept_defaults)
