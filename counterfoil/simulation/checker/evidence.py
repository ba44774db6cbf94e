"""What the checker is given: rows as they are stored, the provider's books, and what clients were told.

Nothing here is the system's: an event is the JSON of its row, a request and its answer are what went over the wire.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec

Json = dict[str, Any]
Span = tuple[float, float]  # seconds of the run, from and until


class Event(NamedTuple):
    position: int
    stream: str
    version: int
    topic: str
    data: Json

    @property
    def cause(self) -> str:
        return str(self.data["causation_id"])


class Request(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...


class Reply(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> Json: ...
    @property
    def version(self) -> int | None: ...
    @property
    def position(self) -> int | None: ...
    @property
    def replayed(self) -> bool: ...


class Asked(Protocol):
    """`reply` is None where nobody answered. `log_length_rows`: how long the log was when the answer came."""

    @property
    def request(self) -> Request: ...
    @property
    def reply(self) -> Reply | None: ...
    @property
    def log_length_rows(self) -> int: ...


class Webhook(Protocol):
    @property
    def event_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def order_id(self) -> str: ...


class Evidence(Protocol):
    @property
    def rows(self) -> Sequence[tuple[int, UUID, int, str, bytes]]: ...
    @property
    def committed_at_seconds(self) -> Sequence[float]: ...
    @property
    def clock_error_seconds(self) -> float: ...
    @property
    def store_outages(self) -> Sequence[Span]: ...
    @property
    def provider_outages(self) -> Sequence[Span]: ...
    @property
    def books(self) -> Sequence[Json]: ...
    @property
    def asked(self) -> Sequence[Asked]: ...
    @property
    def webhooks(self) -> Sequence[tuple[Webhook, int]]: ...
    @property
    def faults_of_ours(self) -> Sequence[str]: ...
    @property
    def views(self) -> Mapping[str, Mapping[str, bytes]]: ...
    @property
    def replayed_views(self) -> Mapping[str, Mapping[str, bytes]]: ...


def read_log(rows: Iterable[tuple[int, UUID, int, str, bytes]]) -> list[Event]:
    decode = msgspec.json.Decoder().decode
    return [
        Event(position, str(stream), version, topic, decode(state)) for position, stream, version, topic, state in rows
    ]


def by_kind(log: Iterable[Event]) -> dict[str, list[Event]]:
    """`order`, `stock`, ...: the first part of the topic."""
    kinds: dict[str, list[Event]] = defaultdict(list)
    for event in log:
        kinds[event.topic.partition(".")[0]].append(event)
    return kinds


def by_cause(log: Iterable[Event]) -> dict[str, list[Event]]:
    causes: dict[str, list[Event]] = defaultdict(list)
    for event in log:
        causes[event.data["causation_id"]].append(event)
    return causes
