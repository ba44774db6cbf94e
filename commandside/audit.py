"""History as it is: what a stream was at a version or a time, and every event that made it so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
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

    The state is made of all of them; listed are the last EVENTS_LIMIT_COUNT.
    Raises NotFound: no such kind, stream or version, or nothing there yet at that time; StoreUnavailable.
    """
    if kind not in KINDS:
        raise NotFound("kind of history", kind)
    aggregate_class, stream_of = KINDS[kind]
    try:
        stream_id = stream_of(public_id)
    except ValueError:
        raise NotFound(kind, public_id) from None
    history = await store.history(stream_id)
    if not history or getattr(history[0].event, "originator_topic", None) != aggregate_class.TOPIC:  # type: ignore[attr-defined]
        raise NotFound(kind, public_id)
    # A stream may have no end; the loop that decides every command does not wait for its replay.
    return await asyncio.to_thread(_audited, kind, public_id, aggregate_class, history, version, at)


def _audited(
    kind: str,
    public_id: str,
    aggregate_class: type[EventSourced],
    history: list[Recorded],
    version: int | None,
    at: datetime | None,
) -> Audited:
    as_of = _as_of(history, version, at)
    if not as_of or (version is not None and version > len(history)):
        raise NotFound(f"such version or time of the {kind}", public_id)
    aggregate = aggregate_class.replay([recorded.event for recorded in as_of])
    body = {
        "kind": kind,
        "id": public_id,
        "version": aggregate.version,
        "state": _state(aggregate),
        "events": [_event(recorded) for recorded in as_of[-EVENTS_LIMIT_COUNT:]],
    }
    return Audited(aggregate.version, as_of[-1].position, msgspec.json.encode(body))


def _as_of(history: list[Recorded], version: int | None, at: datetime | None) -> list[Recorded]:
    if version is not None:
        return history[:version]
    if at is not None:
        # Up to the first event after that time: what follows it was not there yet, whatever its clock said.
        later = (n for n, recorded in enumerate(history) if recorded.event.timestamp > at)
        return history[: next(later, len(history))]
    return history


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
