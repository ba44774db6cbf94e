from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from eventsourcing.domain import BaseAggregate

from domain.events.base import AnyEvent, Created, Event
from domain.values import Cause

_Evolve = TypeVar("_Evolve", bound=Callable[..., None])
_EVENT_CLASS = "_evolves_event_class"
_evolve_methods: dict[type, dict[type, Callable[..., None]]] = {}


def evolves(event_class: type[Event] | type[Created]) -> Callable[[_Evolve], _Evolve]:
    """Marks the method of an aggregate that applies `event_class`: without guards, for it runs on every replay."""

    def mark(method: _Evolve) -> _Evolve:
        setattr(method, _EVENT_CLASS, event_class)
        return method

    return mark


class EventSourced(BaseAggregate[UUID]):
    """An aggregate whose public methods are commands: they guard, then trigger; what changes stands in `@evolves`.

    A command that is refused raises a DomainError before it has triggered anything. An aggregate whose stream has no
    end names what a snapshot keeps of it: `STATE` is a dataclass of attributes, and `STATE_VERSION` rises with it.
    """

    STATE: ClassVar[type[Any] | None] = None
    STATE_VERSION: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _evolve_methods[cls] = {
            getattr(member, _EVENT_CLASS): member for member in vars(cls).values() if hasattr(member, _EVENT_CLASS)
        }

    def collect_events(self) -> list[AnyEvent]:
        """The events triggered since the last call; they are the caller's to append."""
        collected: list[Any] = self._pending_events
        self._pending_events = []
        return collected

    def evolve(self, event: AnyEvent) -> None:
        _evolve_methods[type(self)][type(event)](self, event)

    @classmethod
    def evolved_event_classes(cls) -> frozenset[type]:
        return frozenset(_evolve_methods[cls])

    @classmethod
    def replay(cls, events: list[AnyEvent]) -> Self:
        """The aggregate as these events, from the first on without a gap, make it."""
        aggregate: Any = None
        for event in events:
            aggregate = event.mutate(aggregate)
        if type(aggregate) is not cls:
            raise TypeError(f"these are the events of a {type(aggregate).__name__}, not of a {cls.__name__}")
        return aggregate

    @classmethod
    def restore(
        cls, stream_id: UUID, version: int, created_on: datetime, modified_on: datetime, state: dict[str, Any]
    ) -> Self:
        """The aggregate as a snapshot kept it."""
        aggregate = cls.__new__(cls)
        aggregate.__base_init__(stream_id, version, created_on)
        aggregate.modified_on = modified_on
        vars(aggregate).update(state)
        return aggregate

    @classmethod
    def _start(cls, event_class: type[Created], stream_id: UUID, cause: Cause, **data: Any) -> Self:
        event = event_class(
            originator_topic=cls.TOPIC,  # type: ignore[attr-defined]
            originator_id=stream_id,
            originator_version=cls.INITIAL_VERSION,
            timestamp=cause.at,
            actor=cause.actor,
            causation_id=cause.causation_id,
            correlation_id=cause.correlation_id,
            **data,
        )
        aggregate: Self = event.mutate(None)  # type: ignore[assignment]
        aggregate.pending_events.append(event)
        return aggregate

    def _trigger(self, event_class: type[Event], cause: Cause, **data: Any) -> None:
        event = event_class(
            originator_id=self.id,
            originator_version=self.version + 1,
            timestamp=cause.at,
            actor=cause.actor,
            causation_id=cause.causation_id,
            correlation_id=cause.correlation_id,
            **data,
        )
        event.mutate(self)
        self.pending_events.append(event)
