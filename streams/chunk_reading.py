"""What a chunk of messages says: the events in it, and how far its partition has come with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from projections.recorded import Recorded
from streams.envelope import NotAnEnvelope, PositionMarker, UnreadableEvent, decode


@dataclass(frozen=True, slots=True)
class Damaged:
    """A message that nobody of ours sent, or that was damaged since. The log itself still has what it may have been."""

    index: int
    """Its place in the chunk."""
    value: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event of a type that this program does not know, or that does not fit its type."""

    index: int
    error: UnreadableEvent
    events_before_count: int
    """How many of the chunk's events come before it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`up_to`: every event of the partition up to there is in here or came before; None where nothing says so.

    `begins_after`: every event of the partition beyond that position is in here, or comes later. What cannot be read
    says neither.
    """

    events: Sequence[Recorded]
    up_to: int | None
    damaged: Sequence[Damaged]
    unreadable: Sequence[Unreadable]
    begins_after: int | None


def read(values: Sequence[bytes | None], is_mine: Callable[[UUID], bool]) -> Reading:
    """Never raises. `is_mine` says which streams belong into the partition: the relay sends no others."""
    events: list[Recorded] = []
    damaged: list[Damaged] = []
    unreadable: list[Unreadable] = []
    up_to = begins_after = None
    for index, value in enumerate(values):
        try:
            message = decode(value)
        except NotAnEnvelope as error:
            damaged.append(Damaged(index, value or b"", str(error)))
            continue
        except UnreadableEvent as error:
            if is_mine(error.stream_id):
                unreadable.append(Unreadable(index, error, len(events)))
            else:
                damaged.append(Damaged(index, value or b"", f"of a stream of another partition: {error}"))
            continue
        if begins_after is None:
            begins_after = message.position - (0 if isinstance(message, PositionMarker) else 1)
        # After the relay was restarted some events come again, with positions that were passed before.
        up_to = message.position if up_to is None else max(up_to, message.position)
        if not isinstance(message, PositionMarker):
            events.append(message)
    return Reading(events, up_to, damaged, unreadable, begins_after)


def raw_event(values: Collection[bytes | None], position: int) -> bytes | None:
    """The message that carried the event at that position."""
    for value in values:
        try:
            if decode(value).position == position:
                return value
        except NotAnEnvelope:
            continue
        except UnreadableEvent as error:
            if error.position == position:
                return value
    return None
