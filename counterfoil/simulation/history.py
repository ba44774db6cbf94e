"""What was asked and what was told, what went wrong, and what stood in the log in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from commandside.event_store.mapper import Row
from commandside.payments.webhook import WebhookEvent
from counterfoil.simulation.desk import Reply, Request
from counterfoil.simulation.faults import Fault


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
    books: list[dict[str, Any]] = field(default_factory=list)
    webhooks: list[tuple[WebhookEvent, int]] = field(default_factory=list)
    happened: list[tuple[float, Fault]] = field(default_factory=list)
    faults_of_ours: list[str] = field(default_factory=list)
    views: dict[str, dict[str, bytes]] = field(default_factory=dict)
    replayed_views: dict[str, dict[str, bytes]] = field(default_factory=dict)
    crashes_count: int = 0
    commands_count: int = 0
    seconds: float = 0.0

    def to_bytes(self) -> bytes:
        """All of it. The same seed gives the same bytes."""
        lines = [*self.told(), *(str(row) for row in self.rows), *(json.dumps(entry) for entry in self.books)]
        lines += [f"{name} {stream} {view!r}" for name, views in self.views.items() for stream, view in views.items()]
        lines += [f"webhook {event} {length}" for event, length in self.webhooks]
        return "\n".join([*lines, *self.faults_of_ours, f"{self.seconds!r}"]).encode()

    def told(self) -> list[str]:
        """For people: one line for each request and each fault, in the order of time."""
        lines = [(at, 0, f"{at:12.3f}  ! {fault}") for at, fault in self.happened]
        for one in self.asked:
            lines.append((one.at_seconds, 1, f"{one.at_seconds:12.3f}  {_request(one)}"))
            if one.answered_at_seconds is not None:
                told = f"{one.answered_at_seconds:12.3f}    {one.request.id} -> {_reply(one.reply)}"
                lines.append((one.answered_at_seconds, 2, told))
        return [line for _, _, line in sorted(lines, key=lambda line: line[:2])]


def _request(asked: Asked) -> str:
    request = asked.request
    fields = " ".join(f"{name}={value}" for name, value in request.fields.items())
    order = f" order={request.order_id}" if request.order_id is not None else ""
    return f"{request.id} {request.owner} at {asked.process}: {request.kind} {fields}{order}"


def _reply(reply: Reply | None) -> str:
    if reply is None:
        return "no answer"
    again = " again" if reply.replayed else ""
    return f"{reply.status}{again} {json.dumps(reply.body)}"
