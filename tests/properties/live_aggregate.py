from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from domain.aggregates import EventSourced
from domain.events import AnyEvent
from tests.spec import Outcome, happened_to

A = TypeVar("A", bound=EventSourced)


class LiveAggregate(Generic[A]):
    """An aggregate that a state machine commands, and all that has happened to it."""

    def __init__(self, aggregate: A) -> None:
        self.now = aggregate
        self.past: list[AnyEvent] = aggregate.collect_events()

    def when(self, command: Callable[[A], object]) -> Outcome:
        outcome = happened_to(self.now, lambda: command(self.now))
        self.past += outcome.events
        return outcome

    def take_note(self) -> None:
        """Of events that a command on another aggregate triggered on this one."""
        self.past += self.now.collect_events()

    def ensure_replay_is_the_same(self) -> None:
        assert type(self.now).replay(self.past) == self.now

    def ensure_of_every_prefix(self, invariants: Callable[[A], None]) -> None:
        for length in range(1, len(self.past) + 1):
            replayed = type(self.now).replay(self.past[:length])
            assert replayed.version == length
            invariants(replayed)
