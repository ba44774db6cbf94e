"""History as it is: what a stream was at a version or a time, and every event that made it so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import takewhile
from typing import Any
from uuid import UUID

import msgspec

from commandside.event_store import EventStore
from commandside.representations import time
from domain.aggregates import Cart, Checkout, EventSourced, Order, Product, StockItem
from domain.errors import NotFound
from domain.events import Recorded
from domain.events.base import Event
from domain.identity import checkout_stream, product_stream, stock_stream

EVENTS_LIMIT_COUNT = 10_000
PAGE_LIMIT_EVENTS = 2_000
_ENVELOPE = {field.name for field in fields(Event)} | {"originator_topic"}
_SECRET = {"payment_token"}


def _stock(public_id: str) -> UUID:
    sku, at, warehouse_id = public_id.rpartition("@")
    if not at:
        raise ValueError("a stock id is <sku>@<warehouse_id>")
    return stock_stream(sku, warehouse_id)


# By the public id of each kind; an order's checkout goes by the order's id.
KINDS: dict[str, tuple[type[EventSourced], Callable[[str], UUID]]] = {
    "product": (Product, product_stream),
    "stock": (StockItem, _stock),
    "cart": (Cart, UUID),
    "order": (Order, UUID),
    "checkout": (Checkout, lambda public_id: checkout_stream(UUID(public_id))),
}


@dataclass(frozen=True, slots=True)
class Audited:
    """`body` is JSON: `{kind, id, version, state, events}`. `position` is that of the last event."""

    version: int
    position: int
    body: bytes


async def audit(
    store: EventStore, kind: str, public_id: str, version: int | None = None, at: datetime | None = None
) -> Audited:
    """The stream as of `version`, or as of the last event at or before `at`, or as of now, with its events up to there.

    The state is made of all of them; listed are the last EVENTS_LIMIT_COUNT. Nothing that comes later is read, but for
    the rest of a page. Raises NotFound: no such kind, stream or version, or nothing there yet at that time;
    StoreUnavailable.
    """
    if kind not in KINDS:
        raise NotFound("kind of history", kind)
    aggregate_class, stream_of = KINDS[kind]
    try:
        stream_id = stream_of(public_id)
    except ValueError:
        raise NotFound(kind, public_id) from None
    told = _Told(aggregate_class, version, at)
    while not told.complete:
        page = await store.history(stream_id, told.read_count, told.next_page_events_count)
        if not told.read_count and not _begins(page, aggregate_class):
            raise NotFound(kind, public_id)
        # The loop that decides every command does not wait for a replay.
        await asyncio.to_thread(told.go_on, page)
    if told.aggregate is None or (version is not None and told.aggregate.version < version):
        raise NotFound(f"such version or time of the {kind}", public_id)
    return await asyncio.to_thread(told.as_json, kind, public_id)


def _begins(page: list[Recorded], aggregate_class: type[EventSourced]) -> bool:
    topic: str = aggregate_class.TOPIC  # type: ignore[attr-defined]
    return bool(page) and getattr(page[0].event, "originator_topic", None) == topic


class _Told:
    """A history as far as it has been read: in pages, so that no more than one is held beside what is to be listed."""

    def __init__(self, aggregate_class: type[EventSourced], version: int | None, at: datetime | None) -> None:
        self._aggregate_class = aggregate_class
        self._version = version
        self._at = at
        self._listed: deque[Recorded] = deque(maxlen=EVENTS_LIMIT_COUNT)
        self.aggregate: EventSourced | None = None
        self.read_count = 0
        self.complete = False

    @property
    def next_page_events_count(self) -> int:
        left = PAGE_LIMIT_EVENTS if self._version is None else self._version - self.read_count
        return min(left, PAGE_LIMIT_EVENTS)

    def go_on(self, page: list[Recorded]) -> None:
        wanted_count = self.next_page_events_count
        # Up to the first event after that time: what follows it was not there yet, whatever its clock said.
        as_of = list(takewhile(self._was_there, page))
        if as_of:
            self.aggregate = self._aggregate_class.replay([recorded.event for recorded in as_of], self.aggregate)
            self._listed.extend(as_of)
        self.read_count += len(page)
        self.complete = len(page) < wanted_count or len(as_of) < len(page) or self.read_count == self._version

    def as_json(self, kind: str, public_id: str) -> Audited:
        assert self.aggregate is not None
        body = {
            "kind": kind,
            "id": public_id,
            "version": self.aggregate.version,
            "state": _state(self.aggregate),
            "events": [_event(recorded) for recorded in self._listed],
        }
        return Audited(self.aggregate.version, self._listed[-1].position, msgspec.json.encode(body))

    def _was_there(self, recorded: Recorded) -> bool:
        return self._at is None or recorded.event.timestamp <= self._at


def _state(aggregate: EventSourced) -> dict[str, Any]:
    state = {name: value for name, value in vars(aggregate).items() if not name.startswith("_")}
    match aggregate:
        case StockItem():
            state["available"] = aggregate.available
        case Order():
            state |= {"status": aggregate.status, "payment_status": aggregate.payment_status}
    return _plain(state)


def _event(recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    return {
        "version": event.originator_version,
        "position": recorded.position,
        "topic": event.TOPIC,
        "recorded_at": time(event.timestamp),
        "actor": event.actor,
        "causation_id": event.causation_id,
        "correlation_id": event.correlation_id,
        "data": _plain({name: value for name, value in vars(event).items() if name not in _ENVELOPE}),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    shown = {name: "(not shown)" if name in _SECRET else value for name, value in values.items()}
    plain: dict[str, Any] = msgspec.to_builtins(shown, str_keys=True)
    return plain
