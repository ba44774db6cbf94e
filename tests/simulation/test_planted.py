"""A simulation that finds nothing proves nothing: each planted fault is found, within so many seeds."""

from __future__ import annotations

from typing import Final

import pytest

from counterfoil.simulation.scenario import Scenario, draw
from counterfoil.simulation.verdict import judge, shrink
from tests.simulation.planted import PLANTED

SEEDS_LIMIT_COUNT: Final = 300
# Those that take ten seconds and more.
FOUND_LATE: Final = frozenset(
    {
        "believe_in_what_the_bus_forgot",
        "capture_the_whole_although_a_part_goes_back",
        "do_not_void_a_late_authorisation",
        "take_silence_for_a_no",
    }
)


def small(seed: int) -> Scenario:
    return draw(seed, shoppers_count=20, faults_count=12)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name in FOUND_LATE else ()) for name in PLANTED]
)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[name](monkeypatch)

    assert any(judge(small(seed)).failed for seed in range(SEEDS_LIMIT_COUNT))


@pytest.mark.long
def test_without_one_the_same_seeds_find_nothing() -> None:
    for seed in range(25):
        assert judge(small(seed)).violations == []


def test_what_failed_is_told_with_little_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED["empty_the_guests_cart_without_adding"](monkeypatch)
    failed = next(verdict for seed in range(SEEDS_LIMIT_COUNT) if (verdict := judge(small(seed))).failed)

    smallest = shrink(failed, runs_limit_count=150)

    assert smallest.failed
    assert len(smallest.scenario.people) <= 2
    assert len(smallest.scenario.faults) <= 2
    assert sum(len(person.actions) for person in smallest.scenario.people) <= 6
    told = smallest.told()
    assert f"seed {failed.scenario.seed}" in told and "cart.merged_away.v1" in told
    assert len(told.splitlines()) < 100
    assert judge(smallest.scenario).told() == told
