"""What travels on Kafka: an event, or a mark of how far the relay has come, each as one CloudEvent (docs/events.md)."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.persistence import MapperDeserialisationError

from commandside.event_store.mapper import EventMapper, Row
from projections.recorded import Recorded
from streams.topics import kafka_topic, kind_of

CONTENT_TYPE: Final = b"application/cloudevents+json"
HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("content-type", CONTENT_TYPE)]
MARKER_TYPE: Final = "counterfoil.position.v1"
_PLAIN: Final = EventMapper()


class NotAnEnvelope(ValueError):
    """A message that no relay of ours wrote, or one that was damaged since."""


class UnreadableEvent(MapperDeserialisationError):
    """A well-formed envelope around an event of an unknown type, or that does not fit its type."""

    def __init__(self, reason: str, position: int, stream_id: UUID, version: int, event_type: str) -> None:
        super().__init__(reason)
        self.position = position
        self.stream_id = stream_id
        self.version = version
        self.event_type = event_type


class Envelope(NamedTuple):
    """An event on its way to Kafka. `value` is UTF-8 JSON."""

    kafka_topic: str
    key: bytes
    value: bytes


class PositionMarker(NamedTuple):
    """Every event up to `position` that belongs into this partition was sent before this message."""

    position: int


def encode(row: Row, mapper: EventMapper = _PLAIN) -> Envelope | None:
    """A stored event in its envelope: its state as it is stored, unsealed, and carried forward where it is old.

    None for an event that stays in the log. Raises MapperDeserialisationError for one that cannot be read.
    """
    position, stream_id, version, event_type, state = row
    event_type, state = mapper.current(event_type, state)
    topic = kafka_topic(event_type)
    if topic is None:
        return None
    try:
        recorded_at = _recorded_at.decode(state).timestamp
    except msgspec.MsgspecError as error:
        raise MapperDeserialisationError(
            f"event {version} of stream {stream_id} under topic {event_type!r} cannot be read: {error}"
        ) from error
    subject = str(stream_id)
    before_data = (
        f'{{"specversion":"1.0","id":"{subject}:{version}","source":"/counterfoil/{kind_of(event_type)}",'
        f'"type":"{event_type}","subject":"{subject}","time":"{recorded_at}","datacontenttype":"application/json",'
        f'"position":{position},"streamversion":{version},"data":'
    )
    return Envelope(topic, subject.encode(), b"%b%b}" % (before_data.encode(), state))


def encode_marker(position: int) -> bytes:
    return (
        f'{{"specversion":"1.0","id":"position:{position}","source":"/counterfoil/relay","type":"{MARKER_TYPE}",'
        f'"position":{position}}}'
    ).encode()


def decode(message: bytes | None, mapper: EventMapper = _PLAIN) -> Recorded | PositionMarker:
    """The event with its place in the log, in its current version; or the marker. Without a value: a tombstone.

    Raises NotAnEnvelope, and UnreadableEvent for an event of an unknown type or that does not fit its type.
    """
    if message is None:
        raise NotAnEnvelope("not an envelope: a message without a value")
    try:
        read = _message.decode(message)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # neither UTF-8 nor depth are msgspec's own
        raise NotAnEnvelope(f"not an envelope: {error}") from error
    if read.type == MARKER_TYPE:
        return PositionMarker(read.position)
    if read.subject is None or read.streamversion is None:
        raise NotAnEnvelope("not an envelope: an event without its stream")
    try:
        event = mapper.read(read.subject, read.streamversion, read.type, read.data)
    except (MapperDeserialisationError, ValueError, RecursionError) as error:
        raise UnreadableEvent(str(error), read.position, read.subject, read.streamversion, read.type) from error
    return Recorded(read.position, event)


class _RecordedAt(msgspec.Struct):
    """What the envelope says besides the columns; the rest of the state is only checked to be JSON."""

    timestamp: str


_Place = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Message(msgspec.Struct):
    type: str
    position: _Place
    subject: UUID | None = None
    streamversion: _Place | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_recorded_at = msgspec.json.Decoder(_RecordedAt)
_message = msgspec.json.Decoder(_Message)
