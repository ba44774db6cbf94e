"""A run and what the checker says of it; and of a run that failed, the smallest that still does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from counterfoil.simulation.checker import violations
from counterfoil.simulation.history import History
from counterfoil.simulation.run import run
from counterfoil.simulation.scenario import Action, Scenario

RUNS_LIMIT_COUNT: Final = 400
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    scenario: Scenario
    history: History
    violations: list[str]

    @property
    def failed(self) -> bool:
        return bool(self.violations)

    def told(self) -> str:
        """For people: what does not hold, who was there, what went wrong, and all that happened."""
        people = [f"  {person.owner}: {'; '.join(map(str, person.actions))}" for person in self.scenario.people]
        return "\n".join(
            [
                f"seed {self.scenario.seed}: {len(self.violations)} violations",
                *(f"  {line}" for line in self.violations[:20]),
                "who came",
                *people,
                "what was to go wrong",
                *(f"  {fault}" for fault in self.scenario.faults),
                "what happened",
                *self.history.told(),
            ]
        )


def judge(scenario: Scenario) -> Verdict:
    history = run(scenario)
    try:
        found = violations(history)
    except Exception as error:  # a log that cannot be followed is none that keeps its promises
        found = [*history.faults_of_ours, f"the checker cannot follow the log: {error!r}"]
    return Verdict(scenario, history, found)


def shrink(failed: Verdict, *, runs_limit_count: int = RUNS_LIMIT_COUNT) -> Verdict:
    """Drops people, faults and actions while it still fails, in as many runs as it may."""
    return _Shrinking(failed, runs_limit_count).end()


class _Shrinking:
    def __init__(self, failed: Verdict, runs_limit_count: int) -> None:
        self._smallest = failed
        self._left_count = runs_limit_count

    def end(self) -> Verdict:
        before = None
        while before is not self._smallest and self._left_count > 0:
            before = self._smallest
            self._drop(self._smallest.scenario.people, lambda scenario, people: replace(scenario, people=people))
            self._drop(self._smallest.scenario.faults, lambda scenario, faults: replace(scenario, faults=faults))
            for place in range(len(self._smallest.scenario.people)):
                self._drop(self._smallest.scenario.people[place].actions, _with_actions(place))
        return self._smallest

    def _drop(self, parts: tuple[T, ...], made: Callable[[Scenario, tuple[T, ...]], Scenario]) -> None:
        """First half of them at once, in the end each by itself."""
        size_count = len(parts)
        while size_count > 0 and parts:
            start = 0
            while start < len(parts):
                fewer = parts[:start] + parts[start + size_count :]
                if self._still_fails(made(self._smallest.scenario, fewer)):
                    parts = fewer
                else:
                    start += size_count
            size_count //= 2

    def _still_fails(self, scenario: Scenario) -> bool:
        if self._left_count <= 0:
            return False
        self._left_count -= 1
        verdict = judge(scenario)
        if verdict.failed:
            self._smallest = verdict
        return verdict.failed


def _with_actions(place: int) -> Callable[[Scenario, tuple[Action, ...]], Scenario]:
    def made(scenario: Scenario, actions: tuple[Action, ...]) -> Scenario:
        people = list(scenario.people)
        people[place] = replace(people[place], actions=actions)
        return replace(scenario, people=tuple(people))

    return made
