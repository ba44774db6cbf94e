"""One loop decides, one append per batch: see docs/write-side.md.

Commands wait in a bounded queue. The loop decides them against aggregates in memory, appends the events of all of them
at once, and only then answers. While one batch is being committed the next one is decided, on top of it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import structlog
from eventsourcing.persistence import MapperDeserialisationError
from prometheus_client import CollectorRegistry

from commandside.deciding import Command, Committed, Decided, Deciding, Decision
from commandside.event_store import EventStore, NotStorable, StoreUnavailable, VersionConflict
from commandside.event_store.snapshots import Snapshot
from commandside.identity_map import IdentityMap
from commandside.metrics import WriterMetrics
from commandside.overlap import Overlap
from commandside.snapshotting import Snapshots
from domain.aggregates import Checkout
from domain.events import AnyEvent

__all__ = ["Busy", "Committed", "Contended", "Decision", "Writer"]

R = TypeVar("R")
_log = structlog.get_logger(__name__)


class Busy(Exception):
    """More commands are waiting than the queue holds, or the writer does not run. Nothing was done."""


class Contended(Exception):
    """Other processes kept winning the race for these streams. Nothing was done."""


class _Grounded(Exception):
    """The batch in the air was lost, and with it all that was decided on top of it."""


@dataclass(slots=True, eq=False)
class _Flight:
    """A batch on its way into the store. `appending` gives its events' positions, or that of what it read."""

    decided: Decided
    events: list[AnyEvent]
    snapshots: list[Snapshot]
    written: frozenset[UUID]
    launched_at: float
    appending: asyncio.Future[Sequence[int]]


class Writer:
    """The only way anything is written. A decision must be pure and return plain values: it may run more than once.

    It runs again when an aggregate it asks for is not in memory yet, and when another process wrote first.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        metrics: WriterMetrics | None = None,
        queue_limit_commands: int = 10_000,
        batch_limit_commands: int = 500,
        batch_limit_events: int = 2_000,
        batch_limit_milliseconds: float = 50.0,
        cache_limit_aggregates: int = 20_000,
        load_rounds_limit_count: int = 8,
        conflict_attempts_limit_count: int = 10,
        turns_after_conflict_seconds: float = 5.0,
        snapshot_interval_events: int = 1_000,
        snapshot_queue_limit_count: int = 100,
    ) -> None:
        self._store = store
        self._metrics = metrics or WriterMetrics(CollectorRegistry())
        self._queue_limit_commands = queue_limit_commands
        self._conflict_attempts_limit_count = conflict_attempts_limit_count
        self._turns_after_conflict_seconds = turns_after_conflict_seconds
        self._turns_until = 0.0
        self._aggregates = IdentityMap(cache_limit_aggregates)
        self._deciding = Deciding(
            self._aggregates,
            self._load,
            batch_limit_commands,
            batch_limit_events,
            batch_limit_milliseconds / 1_000,
            load_rounds_limit_count,
        )
        self._snapshots = Snapshots(store, snapshot_interval_events, snapshot_queue_limit_count)
        self._waiting: deque[Command] = deque()
        self._at_hand: list[Command] = []
        self._next = Decided(self._aggregates.begin_batch(trust_memory=True))
        self._flight: _Flight | None = None
        self._overlap = Overlap()
        self._last_position = 0
        self._idle: asyncio.Future[None] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._is_stopping = False

    async def start(self) -> None:
        """Also after it was stopped. Raises StoreUnavailable."""
        self._last_position = await self._store.last_position()
        self._is_stopping = False
        self._snapshots.start()
        self._loop = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Ends the loop after the append it is at; commands still waiting are told that nothing was done."""
        self._is_stopping = True
        self._wake()
        if self._loop is not None:
            await asyncio.shield(self._loop)
        await self._snapshots.stop()

    async def execute(self, decide: Decision[R]) -> Committed[R]:
        """Decides and makes it durable. Raises what `decide` raises, or Busy, Contended, StoreUnavailable."""
        if not self.alive:
            raise Busy("the writer is not running")  # nobody would ever answer
        if self.waiting_commands_count >= self._queue_limit_commands:
            self._metrics.turned_away.inc()
            raise Busy(f"{self._queue_limit_commands} commands are waiting")
        command = Command(decide, asyncio.get_running_loop().create_future(), time.perf_counter())
        self._waiting.append(command)
        self._wake()
        return await command.answer

    @property
    def alive(self) -> bool:
        return self._loop is not None and not self._is_stopping and not self._loop.done()

    @property
    def waiting_commands_count(self) -> int:
        """Those that are not on their way into the store yet."""
        return len(self._waiting) + len(self._next.commands) + len(self._at_hand)

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self._advance()
            except Exception as error:  # a fault of ours must not end the loop: it is logged, and an answer
                commands = self._called_back()
                await self._land()
                await self._mend(commands, error)
        try:
            await self._land()
        finally:
            for command in (*self._called_back(), *self._waiting):
                command.refuse(Busy("the writer stopped"))
            self._waiting.clear()

    async def _advance(self) -> None:
        """Decides what waits; launches what is decided when nothing is in the air; lands what has arrived."""
        if self._flight is None and time.monotonic() < self._turns_until and self._waiting:
            await self._settle_in_turn()
            return
        if self._waiting and self._deciding.has_room(self._next):
            await self._decide_what_waits()
        elif self._flight is None and self._next.commands:
            self._launch()
        elif self._flight is not None and self._flight.appending.done():
            await self._land(and_launch=True)
        else:
            await self._something_new()
            return
        if self._flight is None and self._next.commands:
            self._launch()

    async def _something_new(self) -> None:
        """A command, or the end of the append that is under way, or of it all."""
        self._idle = asyncio.get_running_loop().create_future()
        await self._idle
        self._idle = None

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _decide_what_waits(self) -> None:
        """Puts it into the next batch, as far as there is room."""
        waiting_count = len(self._waiting)
        if self._flight is None and self._overlap.pays(waiting_count, waiting_count // 2):
            waiting_count //= 2
        self._take(min(waiting_count, self._deciding.batch_limit_commands - len(self._next.commands)))
        try:
            self._waiting.extendleft(reversed(await self._deciding.decide(self._at_hand, self._next)))
        except _Grounded:
            return
        except Exception as error:  # of the store, or ours: those who were to be decided are told, or decided again
            commands = self._called_back()
            await self._land()
            await self._mend(commands, error)
        self._at_hand = []

    def _take(self, count: int) -> None:
        self._at_hand = [self._waiting.popleft() for _ in range(count)]

    async def _load(self, after: dict[UUID, int]) -> None:
        # What is in the air is in memory only: without it the store does not know all of these streams yet.
        if self._flight is not None and not self._flight.written.isdisjoint(after) and not await self._land():
            raise _Grounded
        self._aggregates.take_in(after, await self._store.load(after))

    def _launch(self) -> None:
        decided = self._next
        events, reads = decided.events(), self._aggregates.reads()
        appending: asyncio.Future[Sequence[int]]
        if events:
            appending = asyncio.ensure_future(self._store.append(events, self._work(), reads))
        else:
            appending = asyncio.ensure_future(self._checked(reads))
        appending.add_done_callback(lambda _: self._wake())
        self._flight = _Flight(
            decided,
            events,
            self._snapshots.due(self._aggregates.grown_in_batch()),
            frozenset(stream.id for stream in decided.batch.written),
            time.perf_counter(),
            appending,
        )
        self._note_batch(decided)
        self._begin_next()

    async def _checked(self, reads: dict[UUID, int]) -> Sequence[int]:
        return [await self._store.check(reads)] if reads else []

    async def _land(self, *, and_launch: bool = False) -> bool:
        """Waits for the append that is in the air and answers those who wait for it. False: it came to nothing."""
        flight, self._flight = self._flight, None
        if flight is None:
            return True
        try:
            positions = await flight.appending
        except Exception as error:
            # What was decided on top of it meanwhile is decided again.
            self._aggregates.forget(flight.decided.batch)
            self._waiting.extendleft(reversed(self._called_back()))
            await self._mend(flight.decided.commands, error)
            return False
        commit_seconds = time.perf_counter() - flight.launched_at
        decided, ready_count = flight.decided, len(self._next.commands)
        pays = self._overlap.pays(len(decided.commands) + self.waiting_commands_count, ready_count)
        if and_launch and pays:
            self._launch()  # first the store has its work, then they have their answers
        self._answer(decided, positions, len(flight.events), commit_seconds)
        self._overlap.note(decided.seconds, len(decided.commands), commit_seconds)
        self._snapshots.offer(flight.snapshots)
        if and_launch and not pays and ready_count:
            await asyncio.sleep(0)  # those who come back at once go along
        return True

    def _answer(self, decided: Decided, positions: Sequence[int], events_count: int, commit_seconds: float) -> None:
        if positions:
            self._last_position = positions[-1]
        taken = refused = 0
        for command in decided.commands:
            taken += len(command.events)
            if command.refusal is not None:
                refused += 1
                command.refuse(command.refusal)
            else:
                command.accept(positions[taken - 1] if command.events else self._last_position)
        metrics = self._metrics
        if events_count:
            metrics.commit_seconds.observe(commit_seconds)
        metrics.decide_seconds.observe(decided.seconds)
        metrics.batch_commands.observe(len(decided.commands))
        metrics.batch_events.observe(events_count)
        metrics.refused.inc(refused)

    def _note_batch(self, decided: Decided) -> None:
        self._metrics.cache_hits.inc(self._aggregates.hits_count)
        self._metrics.cache_misses.inc(self._aggregates.misses_count)
        self._metrics.queue_commands.set(len(self._waiting))
        self._metrics.wait_seconds.observe(time.perf_counter() - decided.commands[0].asked_at)

    def _called_back(self) -> list[Command]:
        """The commands of the next batch, as if nothing had been decided yet."""
        self._aggregates.forget(self._next.batch)
        commands = [*self._next.commands, *(command for command in self._at_hand if not command.is_decided)]
        for command in commands:
            command.reset()
        self._at_hand = []
        self._begin_next()
        return commands

    def _begin_next(self) -> None:
        self._next = Decided(self._aggregates.begin_batch(trust_memory=True))
        self._aggregates.let_go()
        self._metrics.cached_aggregates.set(len(self._aggregates))

    async def _mend(self, commands: list[Command], error: Exception) -> None:
        """What failed for another's sake is decided again; what cannot be is told why."""
        if not commands:
            return
        if isinstance(error, VersionConflict):
            self._note_conflict()
            await self._settle(commands, attempts_made_count=1)
            return
        if isinstance(error, (NotStorable, MapperDeserialisationError)):
            await self._settle(commands)
            return
        if not isinstance(error, StoreUnavailable):
            _log.error("batch failed", commands_count=len(commands), exc_info=error)
        for command in commands:
            command.refuse(error)

    def _note_conflict(self) -> None:
        self._metrics.conflicts.inc()
        self._turns_until = time.monotonic() + self._turns_after_conflict_seconds

    async def _settle_in_turn(self) -> None:
        """While other processes write the same streams, batches are decided one process after another.

        Deciding at once would be for nothing: whoever commits second decides again. What waits for its turn gathers.
        """
        commands: list[Command] = []
        try:
            async with self._store.turn():
                commands = self._gathered()
                await self._settle(commands)
        except StoreUnavailable as error:
            _log.warning("no turn", settled=bool(commands), error=str(error))
            if not commands:  # turns are for speed alone: without one the append still finds out who came first
                await self._settle(self._gathered())

    def _gathered(self) -> list[Command]:
        self._take(min(len(self._waiting), self._deciding.batch_limit_commands))
        commands, self._at_hand = self._at_hand, []
        return commands

    async def _settle(self, commands: list[Command], attempts_made_count: int = 0) -> None:
        """To the end, one attempt after another, with nothing else in the air and nothing in memory trusted."""
        try:
            for _ in range(attempts_made_count, self._conflict_attempts_limit_count):
                if await self._attempt(commands):
                    return
                self._note_conflict()
            failure: Exception = Contended("other processes kept writing the same streams")
        except (NotStorable, MapperDeserialisationError) as error:
            if len(commands) > 1:
                # One of them has an event that cannot be written, or needs one that cannot be read: it fails alone.
                for command in commands:
                    await self._settle([command])
                return
            failure = error
        except StoreUnavailable as error:
            failure = error
        except Exception as error:  # a fault of ours: it is logged, and an answer
            _log.exception("batch failed", commands_count=len(commands))
            failure = error
        for command in commands:
            command.refuse(failure)

    async def _attempt(self, commands: list[Command]) -> bool:
        """Decides the batch and appends it. False when another process wrote first: then nothing was appended."""
        for command in commands:
            command.reset()
        decided = Decided(self._aggregates.begin_batch(trust_memory=False))
        committed = False
        try:
            left = await self._deciding.decide(commands, decided)
            events, reads, began = decided.events(), self._aggregates.reads(), time.perf_counter()
            positions = await self._store.append(events, self._work(), reads) if events else await self._checked(reads)
            committed = True
        except VersionConflict:
            return False
        finally:
            if not committed:
                self._aggregates.forget(decided.batch)
                self._begin_next()
        self._answer(decided, positions, len(events), time.perf_counter() - began)
        self._snapshots.offer(self._snapshots.due(self._aggregates.grown_in_batch()))
        self._note_batch(decided)
        self._begin_next()
        self._waiting.extendleft(reversed(left))
        return True

    def _work(self) -> dict[UUID, datetime | None]:
        return {
            aggregate.id: aggregate.due_at if aggregate.unfinished else None
            for aggregate in self._aggregates.written_in_batch()
            if isinstance(aggregate, Checkout)
        }
