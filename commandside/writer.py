"""One loop decides, one append per batch: see docs/write-side.md.

Commands wait in a bounded queue. The loop takes what is there, decides one after another against aggregates in memory,
appends the events of all of them at once, and only then answers. While one batch commits the next one gathers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import structlog
from eventsourcing.persistence import MapperDeserialisationError
from prometheus_client import CollectorRegistry

from commandside.aggregates import Aggregates
from commandside.event_store import EventStore, NotStorable, StoreUnavailable, VersionConflict
from commandside.identity_map import IdentityMap, NotLoaded
from commandside.metrics import WriterMetrics
from commandside.snapshotting import Snapshots
from domain.aggregates import Checkout
from domain.events import AnyEvent

R = TypeVar("R")
Decision = Callable[[Aggregates], R]
_log = structlog.get_logger(__name__)


class Busy(Exception):
    """More commands are waiting than the queue holds, or the writer does not run. Nothing was done."""


class Contended(Exception):
    """Other processes kept winning the race for these streams. Nothing was done."""


@dataclass(frozen=True, slots=True)
class Committed(Generic[R]):
    """A decision's result, and the position of the log that holds all it caused."""

    result: R
    position: int


@dataclass(slots=True)
class _Command:
    decide: Decision[Any]
    answer: asyncio.Future[Committed[Any]]
    asked_at: float  # seconds of time.perf_counter
    result: Any = None
    events: list[AnyEvent] = field(default_factory=list)
    refusal: Exception | None = None
    decided: bool = False

    def reset(self) -> None:
        self.result, self.events, self.refusal, self.decided = None, [], None, False


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
        self._queue: asyncio.Queue[_Command] = asyncio.Queue(queue_limit_commands)
        self._left: list[_Command] = []
        self._batch_limit_commands = batch_limit_commands
        self._batch_limit_events = batch_limit_events
        self._batch_limit_seconds = batch_limit_milliseconds / 1_000
        self._load_rounds_limit_count = load_rounds_limit_count
        self._conflict_attempts_limit_count = conflict_attempts_limit_count
        self._turns_after_conflict_seconds = turns_after_conflict_seconds
        self._turns_until = 0.0
        self._aggregates = IdentityMap(cache_limit_aggregates)
        self._snapshots = Snapshots(store, snapshot_interval_events, snapshot_queue_limit_count)
        self._last_position = 0
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises StoreUnavailable."""
        self._last_position = await self._store.last_position()
        self._snapshots.start()
        self._loop = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Ends the loop after the batch it is at; commands still waiting are told that nothing was done."""
        if self._loop is not None:
            self._loop.cancel()
            with suppress(asyncio.CancelledError):
                await self._loop
        await self._snapshots.stop()
        for command in self._left:
            _refuse(command, Busy("the writer stopped"))
        self._left = []
        while not self._queue.empty():
            _refuse(self._queue.get_nowait(), Busy("the writer stopped"))

    async def execute(self, decide: Decision[R]) -> Committed[R]:
        """Decides and makes it durable. Raises what `decide` raises, or Busy, Contended, StoreUnavailable."""
        if not self.alive:
            raise Busy("the writer is not running")  # nobody would ever answer
        command = _Command(decide, asyncio.get_running_loop().create_future(), time.perf_counter())
        try:
            self._queue.put_nowait(command)
        except asyncio.QueueFull:
            self._metrics.turned_away.inc()
            raise Busy(f"{self._queue.maxsize} commands are waiting") from None
        return await command.answer

    @property
    def alive(self) -> bool:
        return self._loop is not None and not self._loop.done()

    @property
    def waiting_commands_count(self) -> int:
        return self._queue.qsize() + len(self._left)

    async def _run(self) -> None:
        while True:
            batch, self._left = self._left or [await self._queue.get()], []
            # A batch whose append is under way is seen to its end, whatever happens to this task.
            settling = asyncio.ensure_future(self._settle_in_turn(batch))
            try:
                await asyncio.shield(settling)
            except asyncio.CancelledError:
                await settling
                raise

    async def _settle_in_turn(self, batch: list[_Command]) -> None:
        """While other processes write the same streams, batches are decided one process after another.

        Deciding at once would be for nothing: whoever commits second decides again. What waits for its turn gathers.
        """
        if time.monotonic() >= self._turns_until:
            await self._settle(self._gathered(batch), in_turn=False)
            return
        settled = False
        try:
            async with self._store.turn():
                await self._settle(self._gathered(batch), in_turn=True)
                settled = True
        except StoreUnavailable as error:
            _log.warning("no turn", settled=settled, error=str(error))
            if not settled:  # turns are for speed alone: without one the append still finds out who came first
                await self._settle(self._gathered(batch), in_turn=True)

    def _gathered(self, batch: list[_Command]) -> list[_Command]:
        """The batch with what waits, as far as it goes."""
        while len(batch) < self._batch_limit_commands and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        self._metrics.queue_commands.set(self._queue.qsize())
        self._metrics.wait_seconds.observe(time.perf_counter() - batch[0].asked_at)
        return batch

    async def _settle(self, batch: list[_Command], *, in_turn: bool) -> None:
        try:
            for number in range(self._conflict_attempts_limit_count):
                # Memory is right unless another process wrote; the append finds out, and then it is not trusted.
                if await self._attempt(batch, trust_memory=number == 0 and not in_turn):
                    return
                self._metrics.conflicts.inc()
                self._turns_until = time.monotonic() + self._turns_after_conflict_seconds
            failure: Exception = Contended("other processes kept writing the same streams")
        except (NotStorable, MapperDeserialisationError) as error:
            if len(batch) > 1:
                # One of them has an event that cannot be written, or needs one that cannot be read: it fails alone.
                self._aggregates.forget_all_of_batch()
                for command in batch:
                    await self._settle([command], in_turn=True)
                return
            failure = error
        except StoreUnavailable as error:
            failure = error
        except Exception as error:  # a fault of ours must not end the loop: it is logged, and an answer
            _log.exception("batch failed", commands_count=len(batch))
            failure = error
        self._aggregates.forget_all_of_batch()
        for command in batch:
            _refuse(command, failure)

    async def _attempt(self, batch: list[_Command], *, trust_memory: bool) -> bool:
        """Decides the batch and appends it. False when another process wrote first: then nothing was appended."""
        began = time.perf_counter()
        self._aggregates.begin_batch(trust_memory=trust_memory)
        for command in batch:
            command.reset()
        positions: list[int] = []
        try:
            decided, left = await self._decide_all(batch, began + self._batch_limit_seconds)
            events = [event for command in decided for event in command.events]
            decided_at = time.perf_counter()
            if events:
                positions = list(await self._store.append(events, self._work(), self._aggregates.reads()))
                self._last_position = positions[-1]
                self._metrics.commit_seconds.observe(time.perf_counter() - decided_at)
            elif reads := self._aggregates.reads():
                self._last_position = await self._store.check(reads)
        except VersionConflict:
            self._aggregates.forget_all_of_batch()
            return False
        self._metrics.decide_seconds.observe(decided_at - began)
        self._metrics.batch_commands.observe(len(decided))
        self._metrics.batch_events.observe(len(events))
        self._answer(decided, positions)
        self._snapshots.offer(self._aggregates.grown_in_batch())
        self._end_batch()
        self._left = left
        return True

    def _answer(self, decided: list[_Command], positions: list[int]) -> None:
        taken = refused = 0
        for command in decided:
            taken += len(command.events)
            if command.refusal is not None:
                refused += 1
                _refuse(command, command.refusal)
            else:
                position = positions[taken - 1] if command.events else self._last_position
                _accept(command, Committed(command.result, position))
        self._metrics.refused.inc(refused)

    def _end_batch(self) -> None:
        self._metrics.cache_hits.inc(self._aggregates.hits_count)
        self._metrics.cache_misses.inc(self._aggregates.misses_count)
        self._aggregates.end_batch()
        self._metrics.cached_aggregates.set(len(self._aggregates))

    async def _decide_all(self, batch: list[_Command], until: float) -> tuple[list[_Command], list[_Command]]:
        """Decides what it can, loads what was missing for the rest, and so on, within the bounds of a batch.

        Returns what was decided, in the order in which it was, which is that of the streams' versions, and what is left
        for the next batch. Raises VersionConflict, StoreUnavailable.
        """
        decided: list[_Command] = []
        undecided, left, events_count = batch, list[_Command](), 0
        for _ in range(self._load_rounds_limit_count):
            missing: dict[UUID, int] = {}
            waiting: list[_Command] = []
            for command in undecided:
                # The first command is decided whatever it takes: a batch gets something done.
                if decided and (events_count >= self._batch_limit_events or time.perf_counter() > until):
                    left.append(command)
                    continue
                missing.update(self._decide(command))
                if command.decided:
                    decided.append(command)
                    events_count += len(command.events)
                else:
                    waiting.append(command)
            undecided = waiting
            if not undecided:
                break
            self._aggregates.take_in(missing, await self._store.load(missing))
        for command in undecided:
            command.refusal = RuntimeError("a decision kept asking for more streams")
            command.decided = True
        lost = self._aggregates.lost_in_batch()
        if lost:
            self._aggregates.take_in(lost, await self._store.load(lost))
        return decided + undecided, left

    def _decide(self, command: _Command) -> dict[UUID, int]:
        """Returns the streams that have to be loaded first, each with the version that is known of it."""
        try:
            command.result = command.decide(self._aggregates)
        except NotLoaded as needed:
            self._aggregates.roll_back()
            return needed.after
        except Exception as refusal:  # a DomainError, or a poison command's fault: it fails alone
            self._aggregates.roll_back()
            command.refusal = refusal
        else:
            command.events = self._aggregates.collect()
        command.decided = True
        return {}

    def _work(self) -> dict[UUID, datetime | None]:
        return {
            aggregate.id: aggregate.due_at if aggregate.unfinished else None
            for aggregate in self._aggregates.written_in_batch()
            if isinstance(aggregate, Checkout)
        }


def _accept(command: _Command, committed: Committed[Any]) -> None:
    if not command.answer.done():  # its client may have gone
        command.answer.set_result(committed)


def _refuse(command: _Command, reason: Exception) -> None:
    if not command.answer.done():
        command.answer.set_exception(reason)
