from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from eventsourcing.domain import BaseAggregate

from domain.events.base import AnyEvent, Created, Event
from domain.values import Cause

_Made = TypeVar("_Made", bound=Event | Created)
_Evolve = TypeVar("_Evolve", bound=Callable[..., None])
_EVENT_CLASS = "_evolves_event_class"
_member_names: dict[type, frozenset[str]] = {}
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
    def replay(cls, events: list[AnyEvent], onto: Self | None = None) -> Self:
        """The aggregate as these events make it: from the first on without a gap, or from where `onto` has come to."""
        aggregate: Any = onto
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
        data["originator_topic"] = cls.TOPIC  # type: ignore[attr-defined]
        event = _made(event_class, stream_id, cls.INITIAL_VERSION, cause, data)
        aggregate: Self = event.mutate(None)  # type: ignore[assignment]
        aggregate.pending_events.append(event)
        return aggregate

    def _trigger(self, event_class: type[Event], cause: Cause, **data: Any) -> None:
        event = _made(event_class, self.id, self.version + 1, cause, data)
        event.mutate(self)
        self.pending_events.append(event)


def _made(event_class: type[_Made], stream_id: UUID, version: int, cause: Cause, members: dict[str, Any]) -> _Made:
    """The same as calling the class: but a frozen dataclass sets its members one by one, which costs three times this.

    Raises TypeError when a member is missing, or is none of this event's.
    """
    members["originator_id"] = stream_id
    members["originator_version"] = version
    members["timestamp"] = cause.at
    members["actor"] = cause.actor
    members["causation_id"] = cause.causation_id
    members["correlation_id"] = cause.correlation_id
    names = _member_names.get(event_class)
    if names is None:
        names = _member_names[event_class] = frozenset(field.name for field in fields(event_class))
    if members.keys() != names:
        raise TypeError(f"{event_class.__name__} has other members than {sorted(members)}")
    event = object.__new__(event_class)
    object.__setattr__(event, "__dict__", members)
    return event
