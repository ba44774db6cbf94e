"""Given what was, when this is asked, then that happens: the form of the tests of single decisions.

    given(lamps(), lambda stock: stock.receive(5, NOW)).when(lambda stock: stock.adjust(0, "count", NOW)).then_nothing()

That nothing happened is an outcome of its own, and so is a refusal: it leaves no event behind.
Decisions over several aggregates go through the real writer: `await given_stored(...).when(decision)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from commandside.event_store.memory import MemoryEventStore
from commandside.writer import Decision, Writer
from domain.aggregates import EventSourced
from domain.errors import DomainError
from domain.events import AnyEvent

A = TypeVar("A", bound=EventSourced)


@dataclass(frozen=True)
class Expected:
    """An event of this class, with these values in these fields. What is not named may be anything."""

    event_class: type[AnyEvent]
    fields: dict[str, Any]

    def fits(self, event: AnyEvent) -> bool:
        return type(event) is self.event_class and self.fields.items() <= vars(event).items()

    def __repr__(self) -> str:
        return f"{self.event_class.__name__}({', '.join(f'{name}={value!r}' for name, value in self.fields.items())})"


def event(event_class: type[AnyEvent], **fields: Any) -> Expected:
    unknown = fields.keys() - event_class.__dataclass_fields__.keys()
    assert not unknown, f"{event_class.__name__} has no fields {sorted(unknown)}"
    return Expected(event_class, fields)


@dataclass(frozen=True)
class Outcome:
    """What a command came to: its events in order, or why it was refused, or neither. `result` is what it returned."""

    events: list[AnyEvent]
    refusal: DomainError | None = None
    result: Any = None

    def then(self, *expected: Expected) -> None:
        assert expected, "say then_nothing() when nothing is to happen"
        assert self.refusal is None, f"refused: {self.refusal!r}"
        assert len(self.events) == len(expected), f"{self.events} happened, and not {expected}"
        for actual, wanted in zip(self.events, expected, strict=True):
            assert wanted.fits(actual), f"{actual!r} happened, and not {wanted!r}"

    def then_nothing(self) -> None:
        assert self.refusal is None, f"refused: {self.refusal!r}"
        assert self.events == []

    def then_refused(self, error_class: type[DomainError], **figures: Any) -> None:
        """By exactly this rule, with at least these figures, and with nothing left behind."""
        assert type(self.refusal) is error_class, f"{self.refusal!r} and {self.events}, and not {error_class.__name__}"
        assert figures.items() <= self.refusal.figures.items(), f"the figures are {self.refusal.figures}"
        assert self.events == []


@dataclass(frozen=True)
class Given(Generic[A]):
    """An aggregate as its replayed history makes it."""

    aggregate: A

    def when(self, command: Callable[[A], object]) -> Outcome:
        return happened_to(self.aggregate, lambda: command(self.aggregate))


@dataclass(frozen=True)
class GivenStored:
    """A log with the histories of some aggregates in it."""

    events: list[AnyEvent]

    async def when(self, decision: Decision[Any]) -> Outcome:
        store = MemoryEventStore()
        if self.events:
            await store.append(self.events, {})
        before = await store.last_position()
        writer = Writer(store)
        await writer.start()
        refusal, result = None, None
        try:
            result = (await writer.execute(decision)).result
        except DomainError as error:
            refusal = error
        finally:
            await writer.stop()
        return Outcome([recorded.event for recorded in store.log(before)], refusal, result)


def given(aggregate: A, *commands: Callable[[A], object]) -> Given[A]:
    """The aggregate after these commands, none of which may be refused; made anew from the events they caused."""
    for command in commands:
        command(aggregate)
    return Given(type(aggregate).replay(aggregate.collect_events()))


def given_stored(*aggregates: EventSourced) -> GivenStored:
    """The events that are pending on these aggregates, as if appended long ago."""
    return GivenStored([past for aggregate in aggregates for past in aggregate.collect_events()])


def happened_to(aggregate: EventSourced, command: Callable[[], object]) -> Outcome:
    """Runs a command and collects what it caused. What is no DomainError is a fault and comes out."""
    version = aggregate.version
    try:
        result = command()
    except DomainError as refusal:
        assert aggregate.version == version, "a command that is refused triggers nothing"
        return Outcome(aggregate.collect_events(), refusal)
    return Outcome(aggregate.collect_events(), None, result)
