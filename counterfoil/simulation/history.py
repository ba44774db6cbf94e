"""What was asked and what was told, what went wrong, and what stood in the log in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from commandside.event_store.mapper import Row
from commandside.payments.webhook import WebhookEvent
from counterfoil.simulation.desk import Reply, Request
from counterfoil.simulation.faults import Fault, Point
from counterfoil.simulation.outages import Span


@dataclass(slots=True)
class Asked:
    """`reply` is None where nobody answered. `log_length_rows` is how long the log was when the answer came."""

    request: Request
    process: int
    at_seconds: float
    reply: Reply | None = None
    answered_at_seconds: float | None = None
    log_length_rows: int = 0


@dataclass(slots=True)
class History:
    """Of one run. `faults_of_ours` is what the product took for a fault; `views` are JSON, by name and stream."""

    seed: int
    asked: list[Asked] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    committed_at_seconds: list[float] = field(default_factory=list)
    books: list[dict[str, Any]] = field(default_factory=list)
    webhooks: list[tuple[WebhookEvent, int]] = field(default_factory=list)
    happened: list[tuple[float, Fault]] = field(default_factory=list)
    faults_of_ours: list[str] = field(default_factory=list)
    views: dict[str, dict[str, bytes]] = field(default_factory=dict)
    replayed_views: dict[str, dict[str, bytes]] = field(default_factory=dict)
    clock_error_seconds: float = 0.0
    store_outages: list[Span] = field(default_factory=list)
    provider_outages: list[Span] = field(default_factory=list)
    occasions_count: dict[Point, int] = field(default_factory=dict)
    crashes_count: int = 0
    commands_count: int = 0
    seconds: float = 0.0

    def order_statuses(self) -> dict[str, str]:
        """As they are shown in the end, by order."""
        return {order_id: json.loads(view)["page"]["status"] for order_id, view in self.views["order"].items()}

    def to_bytes(self) -> bytes:
        """All of it. The same seed gives the same bytes."""
        lines = [f"{at!r} {fault}" for at, fault in self.happened]
        lines += [f"{_request(one)} {one.at_seconds!r} {one.reply} {one.answered_at_seconds!r}" for one in self.asked]
        lines += [f"{row} {at!r}" for row, at in zip(self.rows, self.committed_at_seconds, strict=True)]
        lines += [json.dumps(entry) for entry in self.books]
        lines += [f"{name} {stream} {view!r}" for name, views in self.views.items() for stream, view in views.items()]
        lines += [f"webhook {event} {length}" for event, length in self.webhooks]
        return "\n".join([*lines, *self.faults_of_ours, f"{self.seconds!r}"]).encode()

    def told(self) -> list[str]:
        """For people: requests, answers, faults, appends and what the provider did, in the order of time."""
        lines = [(at, f"! {fault}") for at, fault in self.happened]
        for one in self.asked:
            lines.append((one.at_seconds, _request(one)))
            if one.answered_at_seconds is not None:
                lines.append((one.answered_at_seconds, f"  {one.request.id} -> {_reply(one.reply)}"))
        for row, at in zip(self.rows, self.committed_at_seconds, strict=True):
            lines.append((at, f"    log {row[0]}: {row[3]} {row[2]} {_figures(row[4])}"))
        for entry in self.books:
            figures = f"{entry['amount']} for order {entry['order_id']}, {entry['reference']}"
            lines.append((entry["at_seconds"], f"    provider: {entry['kind']} {figures}"))
        return [f"{at:12.3f}  {line}" for at, line in sorted(lines, key=lambda line: line[0])]


# What an event says of itself anyway, or says at length.
_LEFT_OUT: Final = frozenset({
    "timestamp", "actor", "causation_id", "correlation_id", "originator_topic", "shipping_address", "body", "lines",
    "shipments", "receipt_id", "fingerprint", "details", "cart_id", "line",
})  # fmt: skip


def _request(asked: Asked) -> str:
    request = asked.request
    fields = " ".join(f"{name}={value}" for name, value in request.fields.items())
    order = f" order={request.order_id}" if request.order_id is not None else ""
    return f"{request.id} {request.owner} at {asked.process}: {request.kind} {fields}{order}"


def _reply(reply: Reply | None) -> str:
    if reply is None:
        return "no answer"
    again = " again" if reply.replayed else ""
    said = [str(reply.body[name]) for name in ("type", "order_id", "status", "available") if name in reply.body]
    return f"{reply.status}{again} {' '.join(said)}"


def _figures(state: bytes) -> str:
    return " ".join(f"{name}={value}" for name, value in json.loads(state).items() if name not in _LEFT_OUT)
