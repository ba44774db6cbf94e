"""Keys: each has one answer at a time; one that has expired is begun anew, unless it bought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from counterfoil.simulation.checker.evidence import Event, Json
from counterfoil.simulation.checker.orders import Order

EXPIRES_AFTER = timedelta(hours=24)
Key = tuple[str, str]  # owner, Idempotency-Key


@dataclass(slots=True)
class Use:
    """One request under a key, and its answer: status and body."""

    begun: Event
    answered: Event | None = None

    @property
    def order_id(self) -> str:
        return str(self.begun.data["order_id"])

    @property
    def told(self) -> tuple[int, Any] | None:
        if self.answered is None:
            return None
        return self.answered.data["status"], msgspec.json.decode(self.answered.data["body"])

    def is_told(self, status: int, body: Json, log_length_rows: int) -> bool:
        """Whether this is its answer, and it stood in the log by then."""
        told = self.answered is not None and self.answered.position <= log_length_rows
        return told and self.told == (status, body)


@dataclass(slots=True)
class ReceiptBook:
    uses: dict[Key, list[Use]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


def read_receipts(events: Sequence[Event], orders: Mapping[str, Order]) -> ReceiptBook:
    book = ReceiptBook()
    of_stream: dict[str, list[Use]] = {}
    for event in events:
        if event.topic == "receipt.opened.v1":
            uses = book.uses[event.data["owner"], event.data["idempotency_key"]] = [Use(event)]
            of_stream[event.stream] = uses
        elif event.topic == "receipt.reopened.v1":
            book.violations += _reopened_wrongly(of_stream[event.stream][-1], event, orders)
            of_stream[event.stream].append(Use(event))
        elif of_stream[event.stream][-1].answered is not None:
            book.violations.append(f"answered twice: receipt {event.stream} at {event.position}")
        else:
            of_stream[event.stream][-1].answered = event
    for (owner, key), uses in book.uses.items():
        if uses[-1].answered is None:
            book.violations.append(f"key {key} of {owner} has no answer for ever")
    return book


def _reopened_wrongly(before: Use, event: Event, orders: Mapping[str, Order]) -> Iterator[str]:
    if before.answered is None:
        yield f"begun anew at {event.position}, and never answered: {before.begun.data}"
        return
    told_at, again_at = (datetime.fromisoformat(one.data["timestamp"]) for one in (before.answered, event))
    if again_at < told_at + EXPIRES_AFTER:
        yield f"begun anew at {event.position}, {again_at - told_at} after its answer: {before.begun.data}"
    order = orders.get(before.order_id)
    given_up = order.failed or order.cancelled if order is not None else None
    stands = order is not None and (given_up is None or given_up.position > event.position)
    if stands or before.answered.data["status"] == 201:
        yield f"begun anew at {event.position} after it bought order {before.order_id}"
