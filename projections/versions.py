"""Events of a stream are applied once and in order: each view holds the version it has come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar
from uuid import UUID

from domain.events import AnyEvent


class Versioned(Protocol):
    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=Versioned)


class VersionGap(Exception):
    """An event came before its predecessors: the stream has to be read again from `held_version` on."""

    def __init__(self, stream_id: UUID, held_version: int, event_version: int) -> None:
        super().__init__(f"stream {stream_id}: version {event_version} came while {held_version} is held")
        self.stream_id = stream_id
        self.held_version = held_version
        self.event_version = event_version


def is_next(held_version: int, event: AnyEvent) -> bool:
    """Whether the event is the one that follows; False when it was applied before. Raises VersionGap.

    `held_version` is 0 while there is no view.
    """
    if event.originator_version > held_version + 1:
        raise VersionGap(event.originator_id, held_version, event.originator_version)
    return event.originator_version == held_version + 1


def advance(
    view: V | None,
    event: AnyEvent,
    start: Callable[[Any], V],
    changes: Mapping[type, Callable[[V, Any], V]],
) -> V:
    """The view after `event`: made by `start` from the first event of a stream, by `changes` from any other.

    An event that was applied before leaves the view as it is. Raises VersionGap when events before this one are
    missing, KeyError when `changes` does not know the event.
    """
    if view is None:
        is_next(0, event)
        return start(event)
    return changes[type(event)](view, event) if is_next(view.version, event) else view
