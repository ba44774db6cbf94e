from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from domain.aggregates.base import EventSourced, evolves
from domain.errors import KeyReused, RuleBroken
from domain.events.receipt import ReceiptAnswered, ReceiptOpened, ReceiptReopened
from domain.identity import receipt_stream
from domain.values import Cause


class Receipt(EventSourced):
    """What the first request with an Idempotency-Key was told, so that its repeats are told the same.

    An answer expires some time after it was given; what is not answered is still being worked on, and never does.
    """

    TOPIC = "receipt"

    @classmethod
    def open(cls, owner: str, idempotency_key: str, fingerprint: str, order_id: str, cause: Cause) -> Self:
        return cls._start(
            ReceiptOpened,
            receipt_stream(owner, idempotency_key),
            cause,
            owner=owner,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            order_id=order_id,
        )

    @property
    def answered(self) -> bool:
        return self.status is not None

    def is_expired(self, at: datetime, ttl: timedelta) -> bool:
        """By the clock of whoever asks: one that is behind finds it expired later."""
        return self.answered_at is not None and at >= self.answered_at + ttl

    def reopen(self, fingerprint: str, order_id: str, ttl: timedelta, cause: Cause) -> None:
        """Begins anew, with another request for another order. That no order stands of the answer is the caller's to
        know. Raises RuleBroken while the answer has not expired.
        """
        if not self.is_expired(cause.at, ttl):
            raise RuleBroken("What this key was told has not expired.")
        self._trigger(ReceiptReopened, cause, fingerprint=fingerprint, order_id=order_id)

    def ensure_same_request(self, fingerprint: str) -> None:
        """Raises KeyReused when the key came with another body before."""
        if fingerprint != self.fingerprint:
            raise KeyReused

    def answer(self, status: int, body: str, cause: Cause) -> None:
        """The first answer stands. Raises RuleBroken when there is one."""
        if self.answered:
            raise RuleBroken("This request was answered before.")
        self._trigger(ReceiptAnswered, cause, status=status, body=body)

    @evolves(ReceiptOpened)
    def _opened(self, event: ReceiptOpened) -> None:
        self.owner = event.owner
        self.fingerprint = event.fingerprint
        self.order_id = event.order_id
        self.status: int | None = None
        self.body: str | None = None
        self.answered_at: datetime | None = None

    @evolves(ReceiptReopened)
    def _reopened(self, event: ReceiptReopened) -> None:
        self.fingerprint = event.fingerprint
        self.order_id = event.order_id
        self.status = self.body = self.answered_at = None

    @evolves(ReceiptAnswered)
    def _answered(self, event: ReceiptAnswered) -> None:
        self.status = event.status
        self.body = event.body
        self.answered_at = event.timestamp
