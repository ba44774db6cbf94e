"""What a chunk of messages says: the events in it, and how far its partition has come with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from eventsourcing.persistence import MapperDeserialisationError

from projections.recorded import Recorded
from streams.envelope import NotAnEnvelope, PositionMarker, decode
from streams.feeder import CannotGoOn


@dataclass(frozen=True, slots=True)
class Damaged:
    """A message that nobody of ours sent, or that was damaged since. The log itself still has what it may have been."""

    value: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """`up_to`: every event of the partition up to there is in here or came before; None where nothing says so."""

    events: Sequence[Recorded]
    up_to: int | None
    damaged: Sequence[Damaged]


def read(values: Sequence[bytes]) -> Reading:
    """Raises CannotGoOn for an event that this program is too old to read."""
    events: list[Recorded] = []
    damaged: list[Damaged] = []
    up_to = None
    for value in values:
        try:
            message = decode(value)
        except NotAnEnvelope as error:
            damaged.append(Damaged(value, str(error)))
            continue
        except MapperDeserialisationError as error:
            raise CannotGoOn(f"an event that this program does not know how to read: {error}") from error
        # After the relay was restarted some events come again, with positions that were passed before.
        up_to = message.position if up_to is None else max(up_to, message.position)
        if not isinstance(message, PositionMarker):
            events.append(message)
    return Reading(events, up_to, damaged)


def raw_event(values: Collection[bytes], position: int) -> bytes | None:
    """The message that carried the event at that position."""
    for value in values:
        try:
            if decode(value).position == position:
                return value
        except (NotAnEnvelope, MapperDeserialisationError):
            continue
    return None
