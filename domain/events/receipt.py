from __future__ import annotations

from typing import ClassVar

from domain.events.base import Created, Event


class ReceiptOpened(Created):
    """The first request with this Idempotency-Key. `fingerprint` is a digest of its body."""

    TOPIC: ClassVar[str] = "receipt.opened.v1"
    owner: str
    idempotency_key: str
    fingerprint: str
    order_id: str


class ReceiptReopened(Event):
    """The answer had expired and no order stands of it: this request is the first with the key again."""

    TOPIC: ClassVar[str] = "receipt.reopened.v1"
    fingerprint: str
    order_id: str


class ReceiptAnswered(Event):
    """What the first request was told: HTTP status and JSON body, to be told again."""

    TOPIC: ClassVar[str] = "receipt.answered.v1"
    status: int
    body: str
