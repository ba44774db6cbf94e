from __future__ import annotations

import copy
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from commandside.event_store.mapper import EventMapper
from domain.aggregates import Allowance, Cart, EventSourced, Product, StockItem

# Streams without an end. The others are short: an order, a checkout and a receipt have a few events each.
SNAPSHOTTED: tuple[type[EventSourced], ...] = (StockItem, Cart, Product, Allowance)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An aggregate as it was at a version: a shortcut past its events, never the truth, thrown away at will."""

    originator_id: UUID
    originator_version: int
    topic: str
    created_on: datetime
    modified_on: datetime
    state: dict[str, Any]

    @classmethod
    def take(cls, aggregate: EventSourced) -> Snapshot:
        """What the aggregate does afterwards is not in it: its containers are copied, their values never change."""
        state_class = aggregate.STATE
        if state_class is None:
            raise TypeError(f"a {type(aggregate).__name__} has no snapshots")
        return cls(
            aggregate.id,
            aggregate.version,
            snapshot_topic(type(aggregate)),
            aggregate.created_on,
            aggregate.modified_on,
            {field.name: copy.copy(getattr(aggregate, field.name)) for field in fields(state_class)},
        )

    def mutate(self, aggregate: EventSourced | None) -> EventSourced:
        """The aggregate, made anew: as its first events would have, if this were they."""
        assert aggregate is None, "a snapshot comes first"
        return _CLASSES[self.topic].restore(
            self.originator_id, self.originator_version, self.created_on, self.modified_on, self.state
        )


class SnapshotMapper:
    """Snapshots to rows and back, compressed and encrypted like the events."""

    def __init__(self, mapper: EventMapper) -> None:
        self._mapper = mapper
        self._rows = msgspec.json.Decoder(_Row)
        self.topics = list(_CLASSES)
        self._states = {topic: msgspec.json.Decoder[Any](kind.STATE) for topic, kind in _CLASSES.items() if kind.STATE}

    def to_stored(self, snapshot: Snapshot) -> StoredEvent:
        state = msgspec.Raw(msgspec.json.encode(snapshot.state))
        sealed = self._mapper.seal(msgspec.json.encode(_Row(snapshot.created_on, snapshot.modified_on, state)))
        return StoredEvent(snapshot.originator_id, snapshot.originator_version, snapshot.topic, sealed)

    def to_snapshot(self, stored: StoredEvent) -> Snapshot:
        """Raises MapperDeserialisationError when the row is not of this form."""
        try:
            row = self._rows.decode(self._mapper.unseal(stored.state))
            state = self._states[stored.topic].decode(row.state)
        except (msgspec.MsgspecError, KeyError, MapperDeserialisationError) as error:
            raise MapperDeserialisationError(
                f"snapshot {stored.originator_version} of stream {stored.originator_id} "
                f"under topic {stored.topic!r} cannot be read: {error}"
            ) from error
        assert isinstance(stored.originator_id, UUID)
        return Snapshot(
            stored.originator_id,
            stored.originator_version,
            stored.topic,
            row.created_on,
            row.modified_on,
            {field.name: getattr(state, field.name) for field in fields(state)},
        )


def snapshot_topic(kind: type[EventSourced]) -> str:
    """Names the kind and the form of its state: a snapshot under another topic is passed over."""
    return f"{kind.TOPIC}.snapshot.v{kind.STATE_VERSION}"  # type: ignore[attr-defined]


_CLASSES = {snapshot_topic(kind): kind for kind in SNAPSHOTTED}


class _Row(msgspec.Struct, frozen=True):
    created_on: datetime
    modified_on: datetime
    state: msgspec.Raw
