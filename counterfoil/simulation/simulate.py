"""`simulate`: one seed or many, and what came of them, for the person at the keyboard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import sha256

from counterfoil.simulation.campaign import run_seeds, tally_of
from counterfoil.simulation.scenario import draw
from counterfoil.simulation.verdict import Verdict, judge, shrink


def main(seeds: Sequence[int], days: int, processes_count: int, show: bool) -> int:
    """0 when every promise was kept."""
    if len(seeds) == 1:
        return _one(seeds[0], days, show)
    tally, seconds = run_seeds(seeds, days=days, processes_count=processes_count)
    print(tally.told(seconds))
    for seed, violation in tally.failed.items():
        print(f"seed {seed}: {violation}")
    if tally.failed:
        _tell_smallest(judge(draw(min(tally.failed), days=days)))
    return 1 if tally.failed else 0


def _one(seed: int, days: int, show: bool) -> int:
    began, processor = time.perf_counter(), time.process_time()
    verdict = judge(draw(seed, days=days))
    tally = tally_of(verdict)
    tally.processor_seconds = time.process_time() - processor
    print(tally.told(time.perf_counter() - began))
    if verdict.failed:
        _tell_smallest(verdict)
        return 1
    if show:
        print(verdict.told())
    print(f"history {sha256(verdict.history.to_bytes()).hexdigest()}")
    return 0


def _tell_smallest(failed: Verdict) -> None:
    print(f"{failed.violations[0]}\nLooking for the smallest history in which it fails ...")
    print(shrink(failed).told())
