from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from commandside.event_store import Evolution, VersionConflict
from domain.aggregates import EventSourced
from domain.errors import NotFound
from domain.events import AnyEvent

A = TypeVar("A", bound=EventSourced)


class NotLoaded(Exception):
    """A decision asked for streams that are not in memory as of this batch: `after` maps them to the versions known."""

    def __init__(self, after: dict[UUID, int]) -> None:
        self.after = after


class IdentityMap:
    """The aggregates in memory, least recently used first out, and the bookkeeping of the batch that is being decided.

    Within a batch an aggregate is used once it is fresh: loaded, or brought forward to what is stored; or, where memory
    is trusted, as it is, and then the append finds out whether that was right: `reads` are what it has to check. A
    decision that fails after it triggered something leaves aggregates advanced: they are dropped and made again, from
    the store and from what earlier decisions of the batch did to them.
    """

    def __init__(self, limit_aggregates: int) -> None:
        self._limit_aggregates = limit_aggregates
        self._cache: OrderedDict[UUID, EventSourced] = OrderedDict()
        self._fresh: set[UUID] = set()
        self._empty: set[UUID] = set()
        self._undecided: dict[UUID, EventSourced] = {}
        self._decided: dict[UUID, list[AnyEvent]] = {}
        self._came_from: dict[UUID, int] = {}
        self._reads: dict[UUID, int] = {}
        self._trusted = False
        self.misses_count = 0

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def hits_count(self) -> int:
        """Aggregates of this batch that were in memory before it."""
        return max(sum(version > 0 for version in self._reads.values()) - self.misses_count, 0)

    def load(self, stream_ids: Collection[UUID]) -> None:
        stale = {i: self._version(i) for i in stream_ids if not self._is_ready(i)}
        if stale:
            raise NotLoaded(stale)

    def find(self, kind: type[A], stream_id: UUID) -> A | None:
        return self.find_all(kind, (stream_id,)).get(stream_id)

    def find_all(self, kind: type[A], stream_ids: Collection[UUID]) -> dict[UUID, A]:
        self.load(stream_ids)
        found: dict[UUID, A] = {}
        for stream_id in stream_ids:
            if stream_id in self._empty:
                self._reads.setdefault(stream_id, 0)
                continue
            aggregate = self._cache[stream_id]
            self._reads.setdefault(stream_id, aggregate.version)
            if not isinstance(aggregate, kind):
                # An id that somebody found elsewhere: of this kind there is nothing under it.
                raise NotFound(kind.__name__.lower(), str(stream_id))
            self._undecided[stream_id] = aggregate
            self._cache.move_to_end(stream_id)
            found[stream_id] = aggregate
        return found

    def add(self, aggregate: EventSourced) -> None:
        # Unseen, it could be taken: an append that can never succeed would take its whole batch down with it.
        if aggregate.id not in self._empty:
            raise LookupError(f"stream {aggregate.id} was not found empty before something was put there")
        self._empty.discard(aggregate.id)
        self._cache[aggregate.id] = aggregate
        self._undecided[aggregate.id] = aggregate
        self._came_from[aggregate.id] = 0

    def begin_batch(self, *, trust_memory: bool) -> None:
        """Without trust every aggregate is compared with the log before it is used."""
        self._trusted = trust_memory
        self._reads.clear()
        self._fresh.clear()
        self._empty.clear()
        self._undecided.clear()
        self._decided.clear()
        self._came_from.clear()
        self.misses_count = 0

    def take_in(self, asked: Iterable[UUID], streams: Mapping[UUID, Sequence[Evolution]]) -> None:
        """What the store has of the streams that were asked for; one it has nothing of, and we neither, is empty.

        Raises VersionConflict when another process has written what this batch means to write.
        """
        for stream_id in asked:
            aggregate: Any = self._cache.get(stream_id)
            stored, decided = streams.get(stream_id, []), self._decided.get(stream_id, [])
            if stored and decided and stored[-1].originator_version >= decided[0].originator_version:
                raise VersionConflict(f"another process wrote stream {stream_id}")
            if aggregate is None and stored:
                self.misses_count += 1
            first = stored[0].originator_version if stored else 1
            self._came_from.setdefault(stream_id, aggregate.version if aggregate is not None else first - 1)
            # What this batch decided before is not stored yet and comes on top of it.
            for event in (*stored, *decided):
                aggregate = event.mutate(aggregate)
            self._fresh.add(stream_id)
            if aggregate is None:
                self._empty.add(stream_id)
            else:
                self._cache[stream_id] = aggregate
                self._cache.move_to_end(stream_id)

    def collect(self) -> list[AnyEvent]:
        """The events that the decision just made has triggered, stream by stream."""
        events: list[AnyEvent] = []
        for stream_id, aggregate in self._undecided.items():
            if aggregate.pending_events:
                triggered = aggregate.collect_events()
                events += triggered
                self._decided.setdefault(stream_id, []).extend(triggered)
        self._undecided.clear()
        return events

    def roll_back(self) -> None:
        """Undoes what a decision that failed has triggered."""
        for stream_id, aggregate in self._undecided.items():
            if aggregate.pending_events:
                del self._cache[stream_id]
                self._fresh.discard(stream_id)
        self._undecided.clear()

    def reads(self) -> dict[UUID, int]:
        """Streams that were looked at and are not written by this batch, with the versions they had (0: empty)."""
        return {stream_id: version for stream_id, version in self._reads.items() if stream_id not in self._decided}

    def lost_in_batch(self) -> dict[UUID, int]:
        """Streams that the batch writes and that a later decision's failure took from memory, with version 0: all."""
        return {stream_id: 0 for stream_id in self._decided if stream_id not in self._cache}

    def written_in_batch(self) -> list[EventSourced]:
        """None of them may be lost."""
        return [self._cache[stream_id] for stream_id in self._decided]

    def grown_in_batch(self) -> list[tuple[EventSourced, int]]:
        """The aggregates of the batch, and the versions from which they were brought to where they are."""
        written = {i: self._cache[i].version - len(events) for i, events in self._decided.items()}
        return [(self._cache[i], version) for i, version in (written | self._came_from).items() if i in self._cache]

    def end_batch(self) -> None:
        while len(self._cache) > self._limit_aggregates:
            self._cache.popitem(last=False)

    def forget_all_of_batch(self) -> None:
        """After an append that failed, or may have: what was advanced in memory is not what is stored."""
        for stream_id in self._decided.keys() | self._undecided.keys():
            self._cache.pop(stream_id, None)
        self.begin_batch(trust_memory=False)
        self.end_batch()  # what was loaded for a batch that failed counts too

    def _is_ready(self, stream_id: UUID) -> bool:
        return stream_id in self._fresh or (self._trusted and stream_id in self._cache)

    def _version(self, stream_id: UUID) -> int:
        aggregate = self._cache.get(stream_id)
        return aggregate.version if aggregate is not None else 0
