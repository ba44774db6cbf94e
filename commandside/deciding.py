"""Decides commands, one after another, against the aggregates in memory; what is missing there is loaded in rounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from commandside.aggregates import Aggregates
from commandside.identity_map import Batch, IdentityMap, NotLoaded
from domain.events import AnyEvent

R = TypeVar("R")
Decision = Callable[[Aggregates], R]


@dataclass(frozen=True, slots=True)
class Committed(Generic[R]):
    """A decision's result, and the position of the log that holds all it caused."""

    result: R
    position: int


@dataclass(slots=True, eq=False)
class Command:
    """A decision that waits to be made, and the one who waits for its answer."""

    decide: Decision[Any]
    answer: asyncio.Future[Committed[Any]]
    asked_at: float  # seconds of time.perf_counter
    result: Any = None
    events: Sequence[AnyEvent] = ()
    refusal: Exception | None = None
    is_decided: bool = False

    def reset(self) -> None:
        self.result, self.events, self.refusal, self.is_decided = None, (), None, False

    def accept(self, position: int) -> None:
        if not self.answer.done():  # its client may have gone
            self.answer.set_result(Committed(self.result, position))

    def refuse(self, reason: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(reason)


@dataclass(slots=True, eq=False)
class Decided:
    """The commands of a batch in the order in which they were decided: that of the versions in their streams."""

    batch: Batch
    commands: list[Command] = field(default_factory=list)
    events_count: int = 0
    seconds: float = 0.0

    def events(self) -> list[AnyEvent]:
        return [event for command in self.commands for event in command.events]


@dataclass(frozen=True, slots=True)
class Deciding:
    """`load` brings streams into memory, given the versions known. A batch ends at the first of its limits."""

    aggregates: IdentityMap
    load: Callable[[dict[UUID, int]], Awaitable[None]]
    batch_limit_commands: int
    batch_limit_events: int
    batch_limit_seconds: float
    load_rounds_limit_count: int

    def has_room(self, decided: Decided) -> bool:
        return (
            len(decided.commands) < self.batch_limit_commands
            and decided.events_count < self.batch_limit_events
            and decided.seconds < self.batch_limit_seconds
        )

    async def decide(self, commands: Sequence[Command], into: Decided) -> list[Command]:
        """Adds what it can to the batch; returns what is left for the next one. Raises what `load` raises."""
        began = time.perf_counter()
        until = began + self.batch_limit_seconds - into.seconds
        undecided, left = commands, list[Command]()
        for _ in range(self.load_rounds_limit_count):
            missing: dict[UUID, int] = {}
            waiting: list[Command] = []
            for command in undecided:
                # The first command is decided whatever it takes: a batch gets something done.
                if into.commands and (into.events_count >= self.batch_limit_events or time.perf_counter() > until):
                    left.append(command)
                    continue
                missing.update(self._decide(command))
                if command.is_decided:
                    into.commands.append(command)
                    into.events_count += len(command.events)
                else:
                    waiting.append(command)
            undecided = waiting
            if not undecided:
                break
            await self.load(missing)
        for command in undecided:
            command.refusal = RuntimeError("a decision kept asking for more streams")
            command.is_decided = True
            into.commands.append(command)
        if lost := self.aggregates.lost_in_batch():
            await self.load(lost)
        into.seconds += time.perf_counter() - began
        return left

    def _decide(self, command: Command) -> dict[UUID, int]:
        """Returns the streams that have to be loaded first, each with the version that is known of it."""
        try:
            command.result = command.decide(self.aggregates)
        except NotLoaded as needed:
            self.aggregates.roll_back()
            return needed.after
        except Exception as refusal:  # a DomainError, or a poison command's fault: it fails alone
            self.aggregates.roll_back()
            command.refusal = refusal
        else:
            command.events = self.aggregates.collect()
        command.is_decided = True
        return {}
