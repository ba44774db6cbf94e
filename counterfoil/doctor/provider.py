"""The payment provider's own books: outcomes that it could not tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import httpx
import msgspec

from counterfoil.doctor.bounds import WEBHOOK_WITHIN, in_words
from counterfoil.doctor.findings import Check, Trouble

ANSWER_TIMEOUT_SECONDS: Final = 3.0
_REACH: Final = (
    "see that a command API runs at the address of its webhooks (COUNTERFOIL_WEBHOOK_URL) under the same secret"
)
WAITING: Final = Check("webhook-waiting", in_words(WEBHOOK_WITHIN), f"The provider cannot tell an outcome: {_REACH}.")
ABANDONED: Final = Check(
    "webhook-abandoned",
    "none",
    f"The provider has given up telling an outcome; the checkout asks for it by itself. Lest there be more: {_REACH}.",
)
CHECKS: Final = (WAITING, ABANDONED)


class BooksClosed(Exception):
    """They could not be looked at; the text says why."""


class _Webhooks(msgspec.Struct, frozen=True):
    waiting: int
    abandoned: int
    oldest_waiting_at: datetime | None = None


class _Books(msgspec.Struct, frozen=True):
    webhooks: _Webhooks


async def look(base_url: str, now: datetime) -> list[Trouble]:
    """Raises BooksClosed."""
    try:
        async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_SECONDS, trust_env=False) as client:
            answer = await client.get(f"{base_url}/v1/books")
    except httpx.TransportError as error:
        raise BooksClosed(f"does not answer ({type(error).__name__})") from error
    if not answer.is_success:
        raise BooksClosed(f"has no books for us (/v1/books: {answer.status_code})")
    try:
        books = msgspec.json.decode(answer.content, type=_Books)
    except msgspec.DecodeError as error:
        raise BooksClosed(f"has books that cannot be read ({error})") from error
    return list(troubles_of(books.webhooks, now))


def troubles_of(webhooks: _Webhooks, now: datetime) -> Iterator[Trouble]:
    since = webhooks.oldest_waiting_at
    if since is not None and now > since + WEBHOOK_WITHIN:
        yield Trouble(WAITING, "the payment provider", f"{webhooks.waiting} wait, this is the oldest", since)
    if webhooks.abandoned:
        yield Trouble(ABANDONED, "the payment provider", f"{webhooks.abandoned} given up")
