from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, dataclass_transform

from eventsourcing.domain import AggregateCreated, AggregateEvent


@dataclass_transform(frozen_default=True)  # says to type checkers what the library's metaclass does
class _Frozen:
    pass


@dataclass(frozen=True)
class Event(AggregateEvent, _Frozen):
    """A fact, in the past tense, under an explicit and stable topic (`order.placed.v1`).

    Besides its stream, version and time every event says who caused it (`actor`), by what (`causation_id`)
    and within what (`correlation_id`). How it changes an aggregate is the aggregate's `evolve`.
    """

    TOPIC: ClassVar[str]

    actor: str
    causation_id: str
    correlation_id: str

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _register(cls)

    def mutate(self, aggregate: Any) -> Any:
        """As the library has it. Ids are compared by their identity first: most are the same object."""
        if (
            aggregate is None
            or not (self.originator_id is aggregate.id or self.originator_id == aggregate.id)
            or self.originator_version != aggregate.version + 1
        ):
            return super().mutate(aggregate)  # which says what is wrong
        aggregate.evolve(self)
        aggregate.version = self.originator_version
        aggregate.modified_on = self.timestamp
        return aggregate

    def apply(self, aggregate: Any) -> None:
        aggregate.evolve(self)


@dataclass(frozen=True)
class Created(AggregateCreated, _Frozen):
    """The first event of a stream. `originator_topic` names the kind of aggregate (`order`), never a Python path."""

    TOPIC: ClassVar[str]

    actor: str
    causation_id: str
    correlation_id: str

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _register(cls)

    def apply(self, aggregate: Any) -> None:
        aggregate.evolve(self)


AnyEvent = Event | Created
EVENT_TYPES: dict[str, type[Event] | type[Created]] = {}


def _register(cls: type[Event] | type[Created]) -> None:
    # The metaclass makes the dataclass in the same breath; only classes with a topic of their own are events.
    topic = cls.__dict__.get("TOPIC")
    if topic is not None:
        assert topic not in EVENT_TYPES, f"two events under one topic: {topic}"
        EVENT_TYPES[topic] = cls
