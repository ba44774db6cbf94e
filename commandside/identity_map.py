from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True, eq=False)
class Batch:
    """What the decisions of one batch looked at and wrote."""

    number: int
    trusts_memory: bool
    touched: list[_Stream] = field(default_factory=list)
    written: list[_Stream] = field(default_factory=list)
    misses_count: int = 0


@dataclass(slots=True, eq=False)
class _Stream:
    """An aggregate in memory (None: lost, or there is nothing in the stream) and its part in the latest batch."""

    id: UUID
    aggregate: EventSourced | None = None
    batch_number: int = 0
    is_fresh: bool = False
    is_undecided: bool = False
    version_read: int | None = None  # as the batch first saw it; 0: empty
    came_from: int | None = None  # the version from which the batch had it brought forward
    decided: list[AnyEvent] = field(default_factory=list)

    @property
    def version(self) -> int:
        return self.aggregate.version if self.aggregate is not None else 0


class IdentityMap:
    """The aggregates in memory, least recently used first out, and the bookkeeping of the batch that is being decided.

    Within a batch an aggregate is used once it is fresh: loaded, or brought forward to what is stored; or, where memory
    is trusted, as it is, and then the append finds out whether that was right: `reads` are what it has to check. A
    decision that fails after it triggered something leaves aggregates advanced: they are dropped and made again, from
    the store and from what earlier decisions of the batch did to them.
    """

    def __init__(self, limit_aggregates: int) -> None:
        self._limit_aggregates = limit_aggregates
        self._streams: OrderedDict[UUID, _Stream] = OrderedDict()
        self._undecided: list[_Stream] = []
        self._batch = Batch(0, trusts_memory=False)

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def misses_count(self) -> int:
        """Aggregates that this batch had made from the log."""
        return self._batch.misses_count

    @property
    def hits_count(self) -> int:
        """Aggregates of this batch that were in memory before it."""
        found_count = sum(1 for stream in self._batch.touched if stream.version_read)
        return max(found_count - self._batch.misses_count, 0)

    def load(self, stream_ids: Collection[UUID]) -> None:
        self._ready(stream_ids)

    def find(self, kind: type[A], stream_id: UUID) -> A | None:
        stream = self._streams.get(stream_id)
        if stream is None or not self._is_ready(stream):
            raise NotLoaded({stream_id: stream.version if stream is not None else 0})
        return self._use(kind, stream)

    def find_all(self, kind: type[A], stream_ids: Collection[UUID]) -> dict[UUID, A]:
        found = ((stream.id, self._use(kind, stream)) for stream in self._ready(stream_ids))
        return {stream_id: aggregate for stream_id, aggregate in found if aggregate is not None}

    def add(self, aggregate: EventSourced) -> None:
        stream = self._streams.get(aggregate.id)
        # Unseen, it could be taken: an append that can never succeed would take its whole batch down with it.
        if stream is None or stream.aggregate is not None or not self._is_ready(stream):
            raise LookupError(f"stream {aggregate.id} was not found empty before something was put there")
        self._enter(stream)
        stream.aggregate, stream.came_from = aggregate, 0
        self._mark_undecided(stream)

    def begin_batch(self, *, trust_memory: bool) -> Batch:
        """Without trust every aggregate is compared with the log before it is used."""
        self._drop_undecided()
        for stream in self._batch.touched:
            stream.decided = []
            # That a stream is empty holds for the batch that found it so.
            if stream.aggregate is None:
                self._streams.pop(stream.id, None)
        self._batch = Batch(self._batch.number + 1, trust_memory)
        return self._batch

    def take_in(self, asked: Iterable[UUID], streams: Mapping[UUID, Sequence[Evolution]]) -> None:
        """What the store has of the streams that were asked for; one it has nothing of, and we neither, is empty.

        Raises VersionConflict when another process has written what this batch means to write.
        """
        for stream_id in asked:
            stream = self._streams.get(stream_id) or self._streams.setdefault(stream_id, _Stream(stream_id))
            self._enter(stream)
            stored = streams.get(stream_id, ())
            if stored and stream.decided and stored[-1].originator_version >= stream.decided[0].originator_version:
                raise VersionConflict(f"another process wrote stream {stream_id}")
            aggregate: Any = stream.aggregate
            if aggregate is None and stored:
                self._batch.misses_count += 1
            if stream.came_from is None:
                first = stored[0].originator_version if stored else 1
                stream.came_from = aggregate.version if aggregate is not None else first - 1
            # What this batch decided before is not stored yet and comes on top of it.
            for event in (*stored, *stream.decided):
                aggregate = event.mutate(aggregate)
            stream.aggregate, stream.is_fresh = aggregate, True

    def collect(self) -> list[AnyEvent]:
        """The events that the decision just made has triggered, stream by stream."""
        events: list[AnyEvent] = []
        for stream in self._undecided:
            stream.is_undecided = False
            aggregate = stream.aggregate
            if aggregate is not None and aggregate.pending_events:
                triggered = aggregate.collect_events()
                events += triggered
                if not stream.decided:
                    self._batch.written.append(stream)
                stream.decided += triggered
        self._undecided.clear()
        return events

    def roll_back(self) -> None:
        """Undoes what a decision that failed has triggered."""
        self._drop_undecided()

    def reads(self) -> dict[UUID, int]:
        """Streams that were looked at and are not written by this batch, with the versions they had (0: empty)."""
        return {
            stream.id: stream.version_read
            for stream in self._batch.touched
            if stream.version_read is not None and not stream.decided
        }

    def lost_in_batch(self) -> dict[UUID, int]:
        """Streams that the batch writes and that a later decision's failure took from memory, with version 0: all."""
        return {stream.id: 0 for stream in self._batch.written if stream.aggregate is None}

    def written_in_batch(self) -> list[EventSourced]:
        """None of them may be lost."""
        return [stream.aggregate for stream in self._batch.written if stream.aggregate is not None]

    def grown_in_batch(self) -> list[tuple[EventSourced, int]]:
        """The aggregates of the batch, and the versions from which they were brought to where they are."""
        return [
            (aggregate, stream.came_from if stream.came_from is not None else stream.version - len(stream.decided))
            for stream in self._batch.touched
            if (aggregate := stream.aggregate) is not None and (stream.decided or stream.came_from is not None)
        ]

    def let_go(self) -> None:
        """Of what is more than the limit, what was not used for the longest time; nothing of the batch at hand."""
        while len(self._streams) > self._limit_aggregates:
            stream_id, stream = next(iter(self._streams.items()))
            if stream.batch_number == self._batch.number:
                break
            del self._streams[stream_id]

    def forget(self, *batches: Batch) -> None:
        """After an append that failed, or may have: what was advanced in memory is not what is stored."""
        self._drop_undecided()
        for batch in batches:
            for stream in batch.written:
                self._streams.pop(stream.id, None)

    def _ready(self, stream_ids: Collection[UUID]) -> list[_Stream]:
        streams = [self._streams.get(stream_id) for stream_id in stream_ids]
        ready = [stream for stream in streams if stream is not None and self._is_ready(stream)]
        if len(ready) < len(streams):
            raise NotLoaded(
                {
                    stream_id: stream.version if stream is not None else 0
                    for stream_id, stream in zip(stream_ids, streams, strict=True)
                    if stream is None or not self._is_ready(stream)
                }
            )
        return ready

    def _is_ready(self, stream: _Stream) -> bool:
        batch = self._batch
        if batch.trusts_memory and stream.aggregate is not None:
            return True
        return stream.is_fresh and stream.batch_number == batch.number

    def _use(self, kind: type[A], stream: _Stream) -> A | None:
        self._enter(stream)
        aggregate = stream.aggregate
        if stream.version_read is None:
            stream.version_read = stream.version
        if aggregate is None:
            return None
        if not isinstance(aggregate, kind):
            # An id that somebody found elsewhere: of this kind there is nothing under it.
            raise NotFound(kind.__name__.lower(), str(stream.id))
        self._mark_undecided(stream)
        return aggregate

    def _enter(self, stream: _Stream) -> None:
        """The first time that a batch touches it: of an earlier batch nothing is left but the aggregate."""
        if stream.batch_number != self._batch.number:
            stream.batch_number = self._batch.number
            stream.is_fresh, stream.version_read, stream.came_from = False, None, None
            self._batch.touched.append(stream)
            self._streams.move_to_end(stream.id)

    def _mark_undecided(self, stream: _Stream) -> None:
        if not stream.is_undecided:
            stream.is_undecided = True
            self._undecided.append(stream)

    def _drop_undecided(self) -> None:
        for stream in self._undecided:
            stream.is_undecided = False
            if stream.aggregate is not None and stream.aggregate.pending_events:
                stream.aggregate, stream.is_fresh = None, False
        self._undecided.clear()
