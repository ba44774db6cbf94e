"""Many seeds at once, each in one of a few processes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from counterfoil.simulation.scenario import draw
from counterfoil.simulation.verdict import Verdict, judge

SEEDS_AT_ONCE_COUNT: Final = 4


@dataclass(slots=True)
class Tally:
    """Of all runs so far. `failed` are the seeds of those in which something did not hold, and the first of it."""

    seeds_count: int = 0
    commands_count: int = 0
    events_count: int = 0
    captures_count: int = 0
    crashes_count: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    virtual_seconds: float = 0.0
    processor_seconds: float = 0.0
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        self.seeds_count += other.seeds_count
        self.commands_count += other.commands_count
        self.events_count += other.events_count
        self.captures_count += other.captures_count
        self.crashes_count += other.crashes_count
        self.faults.update(other.faults)
        self.virtual_seconds += other.virtual_seconds
        self.processor_seconds += other.processor_seconds
        self.failed |= other.failed

    def told(self, seconds: float) -> str:
        kept = f"NOT KEPT in seeds {', '.join(map(str, self.failed))}" if self.failed else "every promise kept"
        return (
            f"{self.seeds_count:,} seeds, {self.commands_count:,} commands, {self.events_count:,} events, "
            f"{self.captures_count:,} captures, {sum(self.faults.values()):,} faults, {self.crashes_count:,} crashes, "
            f"{self.virtual_seconds / 3_600:,.1f} h of virtual time in {seconds:.1f} s "
            f"({self.commands_count / seconds:,.0f} commands/s, {self.processor_seconds:.1f} s of processor): {kept}"
        )


def run_seed(seed: int, days: int = 1) -> Tally:
    began = time.process_time()
    tally = tally_of(judge(draw(seed, days=days)))
    tally.processor_seconds = time.process_time() - began
    return tally


def tally_of(verdict: Verdict) -> Tally:
    history = verdict.history
    return Tally(
        seeds_count=1,
        commands_count=history.commands_count,
        events_count=len(history.rows),
        captures_count=sum(entry["kind"] == "captured" for entry in history.books),
        crashes_count=history.crashes_count,
        faults=Counter(fault.kind for _, fault in history.happened),
        virtual_seconds=history.seconds,
        failed={history.seed: verdict.violations[0]} if verdict.failed else {},
    )


def run_seeds(seeds: Iterable[int], *, days: int = 1, processes_count: int = 2) -> tuple[Tally, float]:
    """The tally, and the seconds that it took by the clock on the wall."""
    began = time.perf_counter()
    total = Tally()
    with ProcessPoolExecutor(max_workers=processes_count) as pool:
        all_seeds = list(seeds)
        for tally in pool.map(run_seed, all_seeds, [days] * len(all_seeds), chunksize=SEEDS_AT_ONCE_COUNT):
            total.add(tally)
    return total, time.perf_counter() - began
