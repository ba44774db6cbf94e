"""`eventsourcing` as it comes, on equal events: its recorder, its mapper, its JSON."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    DatetimeAsISO,
    DecimalAsStr,
    JSONTranscoder,
    Mapper,
    Transcoding,
    UUIDAsHex,
)
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.utils import register_topic
from psycopg.conninfo import conninfo_to_dict

from bench.apart import Begin
from domain.events import EVENT_TYPES, AnyEvent
from domain.values import (
    Address,
    CartLine,
    Item,
    Money,
    OrderLine,
    ProductDetails,
    ShipmentPlan,
    StockClaim,
)

VALUES = (Address, CartLine, Item, Money, OrderLine, ProductDetails, ShipmentPlan, StockClaim)
SCHEMA = "library_replay"


class ValueAsFields(Transcoding):
    """How the library's documentation says that a value object of one's own is stored."""

    def __init__(self, value_type: type[Any]) -> None:
        self.type = value_type
        self.name = value_type.__name__.lower()
        self._names = [field.name for field in fields(value_type)]

    def encode(self, obj: Any) -> dict[str, Any]:
        return {name: getattr(obj, name) for name in self._names}

    def decode(self, data: dict[str, Any]) -> Any:
        return self.type(**data)


def recorder(url: str) -> PostgresApplicationRecorder:
    info = conninfo_to_dict(url)
    datastore = PostgresDatastore(
        dbname=str(info["dbname"]),
        host=str(info["host"]),
        port=str(info["port"]),
        user=str(info["user"]),
        password=str(info.get("password", "")),
        schema=SCHEMA,
    )
    return PostgresApplicationRecorder(datastore)


def mapper() -> Mapper[UUID]:
    for topic, event_type in EVENT_TYPES.items():
        register_topic(topic, event_type)
    transcoder = JSONTranscoder()
    for transcoding in (UUIDAsHex(), DecimalAsStr(), DatetimeAsISO(), *map(ValueAsFields, VALUES)):
        transcoder.register(transcoding)
    return Mapper(transcoder)


def store(url: str, events: Sequence[AnyEvent], batch_size_events: int) -> None:
    library, to_row = recorder(url), mapper().to_stored_event
    library.create_table()
    for first in range(0, len(events), batch_size_events):
        library.insert_events([to_row(event) for event in events[first : first + batch_size_events]])
    library.datastore.close()


def contend(_begin: Begin, _number: int, url: str, batch_size_events: int, seconds: float) -> tuple[int, float]:
    """Events decoded, and the seconds it took: the whole log, again until the time is over."""
    library, to_event = recorder(url), mapper().to_domain_event

    def replay() -> int:
        position, count = 0, 0
        while batch := library.select_notifications(position, batch_size_events, inclusive_of_start=False):
            count += len([to_event(notification) for notification in batch])
            position = batch[-1].id
        return count

    replay()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        count += replay()
    lasted_seconds = time.perf_counter() - began
    library.datastore.close()
    return count, lasted_seconds
