from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable
from dataclasses import MISSING, fields
from typing import Any, TypedDict, cast, get_type_hints
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    Cipher,
    Compressor,
    JSONTranscoder,
    Mapper,
    MapperDeserialisationError,
    StoredEvent,
    Transcoder,
)

from commandside.event_store.errors import NotStorable
from domain.events import EVENT_TYPES, AnyEvent, Recorded
from domain.upcasting import UPCASTERS, Upcasters

# Of the log: position, originator_id, originator_version, topic, state.
Row = tuple[int, UUID, int, str, bytes]
_COLUMNS = ("originator_id", "originator_version")  # stored beside the state, not in it


class EventMapper(Mapper[UUID]):
    """Events to rows and back: the state is the JSON of an event's fields, the topic its class's own.

    msgspec takes the place of the library's transcoder, at a fraction of its cost. Chosen by the library's own setting:
    MAPPER_TOPIC=commandside.event_store.mapper:EventMapper. An old topic is carried forward by `upcasters`. Raises
    MapperDeserialisationError for an unknown topic or a state that does not fit its event.
    """

    def __init__(
        self,
        transcoder: Transcoder | None = None,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
        *,
        event_types: dict[str, Any] = EVENT_TYPES,
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        super().__init__(transcoder or JSONTranscoder(), compressor, cipher)
        self._upcasters = upcasters
        self._event_types = event_types
        self._is_plain = compressor is None and cipher is None
        # What the JSON of a state holds, by topic: TypedDicts.
        self.state_types = {topic: _state_type(event_class) for topic, event_class in event_types.items()}
        self._decoders = {topic: msgspec.json.Decoder[Any](state) for topic, state in self.state_types.items()}
        # What needs neither an upcaster nor a key: its decoder and its class, found at once.
        self._plainly = {
            topic: (self._decoders[topic].decode, event_types[topic])
            for topic in event_types
            if self._is_plain and topic not in upcasters
        }
        self._encoder = msgspec.json.Encoder()

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        members = dict(vars(domain_event))
        originator_id = members.pop("originator_id")
        originator_version = members.pop("originator_version")
        topic = cast(AnyEvent, domain_event).TOPIC
        try:
            state = self._encoder.encode(members)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise NotStorable(f"an event under topic {topic!r} cannot be stored: {error}") from error
        return StoredEvent(originator_id, originator_version, topic, self.seal(state))

    def seal(self, state: bytes) -> bytes:
        """Compressed, then encrypted, where the mapper was given something to do so with."""
        if self.compressor:
            state = self.compressor.compress(state)
        return self.cipher.encrypt(state) if self.cipher else state

    def unseal(self, state: bytes) -> bytes:
        """Raises MapperDeserialisationError: sealed with another key or in another way, or damaged since."""
        try:
            if self.cipher:
                state = self.cipher.decrypt(state)
            return self.compressor.decompress(state) if self.compressor else state
        except (ValueError, zlib.error) as error:
            raise MapperDeserialisationError(f"a stored state cannot be unsealed: {error}") from error

    def to_domain_event(self, stored_event: StoredEvent) -> AnyEvent:
        return self.read(
            stored_event.originator_id, stored_event.originator_version, stored_event.topic, stored_event.state
        )

    def read_page(self, rows: Iterable[Row], wanted: Collection[str] | None = None) -> list[Recorded]:
        """A page of the log. Of an event whose topic is not among those `wanted`, only the stream and version are read.

        The same as `read` for each of them, written out: this loop is what a rebuild of every view spends its time in.
        """
        page: list[Recorded] = []
        known, new, give, record = self._plainly, object.__new__, object.__setattr__, tuple.__new__
        for position, originator_id, originator_version, topic, state in rows:
            plainly = known.get(topic)
            if plainly is None:
                page.append(Recorded(position, self.read(originator_id, originator_version, topic, state)))
                continue
            decode, event_type = plainly
            try:
                members = decode(state) if wanted is None or topic in wanted else {}
            except msgspec.MsgspecError:
                self.read(originator_id, originator_version, topic, state)  # says what is wrong with it
                raise
            members["originator_id"] = originator_id
            members["originator_version"] = originator_version
            event = new(event_type)
            give(event, "__dict__", members)
            page.append(record(Recorded, (position, event)))
        return page

    def read(self, originator_id: UUID | str, originator_version: int, topic: str, state: bytes) -> AnyEvent:
        """The same from a row's columns: what reads a whole log makes no StoredEvent of each."""
        try:
            if topic in self._upcasters:
                topic, members = self._upcast(topic, state)
            elif self._is_plain:
                members = self._decoders[topic].decode(state)
            else:
                members = self._decoders[topic].decode(self.unseal(state))
        except (msgspec.MsgspecError, KeyError, MapperDeserialisationError) as error:
            raise MapperDeserialisationError(
                f"event {originator_version} of stream {originator_id} under topic {topic!r} cannot be read: {error}"
            ) from error
        members["originator_id"] = originator_id
        members["originator_version"] = originator_version
        # A frozen dataclass keeps its members in its __dict__: to give it one whole is cheaper than its __init__.
        event: AnyEvent = object.__new__(self._event_types[topic])
        object.__setattr__(event, "__dict__", members)
        return event

    def topics_of(self, event_types: Iterable[type]) -> list[str]:
        """The topics under which events of these types are stored: their own, and old ones that are carried forward."""
        topics = {topic for topic, event_type in self._event_types.items() if event_type in set(event_types)}
        while older := {old for old, (new, _) in self._upcasters.items() if new in topics} - topics:
            topics |= older
        return sorted(topics)

    def current(self, topic: str, state: bytes) -> tuple[str, bytes]:
        """A row's topic and state as they are today: the JSON as it is stored, unsealed; an old event carried forward.

        For who hands events on as they are, which spares him an event of each. Raises MapperDeserialisationError where
        the state cannot be unsealed, the topic is unknown, or an old state does not fit.
        """
        if topic in self._upcasters:
            try:
                topic, members = self._upcast(topic, state)
            except (msgspec.MsgspecError, KeyError) as error:
                raise MapperDeserialisationError(f"a state under topic {topic!r} cannot be read: {error}") from error
            return topic, self._encoder.encode(members)
        if topic not in self._event_types:
            raise MapperDeserialisationError(f"there is no topic {topic!r}")
        return topic, state if self._is_plain else self.unseal(state)

    def _upcast(self, topic: str, state: bytes) -> tuple[str, dict[str, Any]]:
        members = msgspec.json.decode(self.unseal(state), type=dict[str, Any])
        while topic in self._upcasters:
            topic, upcast = self._upcasters[topic]
            members = upcast(members)
        return topic, msgspec.convert(members, self.state_types[topic])


def _state_type(event_class: type[Any]) -> Any:
    """The fields of an event apart from its columns: a dict whose values are typed, which an event takes as its own."""
    hints = get_type_hints(event_class)
    own = [field for field in fields(event_class) if field.name not in _COLUMNS]
    if any(field.default is not MISSING or field.default_factory is not MISSING for field in own):
        raise TypeError(f"{event_class.__name__} has a field with a default: old events are upcast instead")
    make: Any = TypedDict  # which wants literals, for type checkers
    state = make(f"{event_class.__name__}State", {field.name: hints[field.name] for field in own})
    if not (event_class.__doc__ or "").startswith(f"{event_class.__name__}("):  # which dataclass made by itself
        state.__doc__ = event_class.__doc__
    return state
