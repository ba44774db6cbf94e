"""What a provider tells by itself: one signed event per request.

The signature is `t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`, the scheme of Stripe's, which the built-in
provider has too; several `v1` may stand there while a secret is being changed, one that fits is enough.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from domain.values import Money

SIGNATURE_HEADER: Final = "Payment-Signature"
TOLERANCE_SECONDS: Final = 300
MAX_HEADER_CHARACTERS_COUNT: Final = 1024

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class BadSignature(Exception):
    """Whoever sent this does not show that they know the secret, or shows it too late."""


class BadWebhook(Exception):
    """Rightly signed, and yet not an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """What became of the payment `key`. Deliveries are repeated until taken: the same `event_id` is the same event.

    `amount` is what was to be authorised. `captured` comes with `payment.captured`, `reason` with `payment.declined`.
    `created_at` is timezone-aware.
    """

    event_id: Text
    type: Literal["payment.authorised", "payment.captured", "payment.declined", "payment.cancelled"]
    key: Text
    order_id: Text
    reference: Text
    amount: Money
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: Text | None = None
    captured: Money | None = None


@dataclass(frozen=True, slots=True)
class WebhookReader:
    """How the wired provider's webhooks are read: from the body, the value of its signature's header, and the time.

    `read` raises BadSignature and BadWebhook; None is an event that is not about a payment of ours.
    """

    signature_header: str
    read: Callable[[bytes, str, datetime], WebhookEvent | None]


def verify(
    body: bytes, header: str, secret: str, now: datetime, tolerance_seconds: int = TOLERANCE_SECONDS
) -> WebhookEvent:
    """The event in `body`, if `header` (Payment-Signature) proves that it was sent by who knows `secret`, about `now`.

    Raises BadSignature, or BadWebhook when the body is not an event. A provider may add fields: unknown ones pass.
    """
    check_signature(body, header, secret, now, tolerance_seconds)
    try:
        event = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # all three are msgspec's, for bad JSON
        raise BadWebhook(str(error)) from error
    if event.type == "payment.declined" and event.reason is None:
        raise BadWebhook("payment.declined comes without a reason")
    if event.type == "payment.captured" and event.captured is None:
        raise BadWebhook("payment.captured does not say how much")
    return event


def built_in(secret: str) -> WebhookReader:
    """For the built-in provider."""
    return WebhookReader(SIGNATURE_HEADER, lambda body, header, now: verify(body, header, secret, now))


def check_signature(
    body: bytes, header: str, secret: str, now: datetime, tolerance_seconds: int = TOLERANCE_SECONDS
) -> None:
    """Raises BadSignature unless `header` proves that `body` was sent by who knows `secret`, about `now`."""
    signed_at, signatures = _parts(header)
    if abs(now.timestamp() - signed_at) > tolerance_seconds:
        raise BadSignature("the signature's time is too far from now")
    expected = _digest(body, secret, signed_at)
    # Every signature is compared, in constant time each, so that timing tells nothing.
    fits = [hmac.compare_digest(expected, signature) for signature in signatures]
    if not any(fits):
        raise BadSignature("the signature does not fit the body")


def sign(body: bytes, secret: str, now: datetime) -> str:
    """The header that `verify` accepts for `body`."""
    signed_at = int(now.timestamp())
    return f"t={signed_at},v1={_digest(body, secret, signed_at).decode()}"


_decoder = msgspec.json.Decoder(WebhookEvent)


def _digest(body: bytes, secret: str, signed_at: int) -> bytes:
    return hmac.new(secret.encode(), b"%d.%b" % (signed_at, body), hashlib.sha256).hexdigest().encode()


def _parts(header: str) -> tuple[int, list[bytes]]:
    if len(header) > MAX_HEADER_CHARACTERS_COUNT:
        raise BadSignature("the signature is too long")
    fields = [part.strip().partition("=")[::2] for part in header.split(",")]
    times = [value for name, value in fields if name == "t"]
    signatures = [value.encode() for name, value in fields if name == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12):
        raise BadSignature("the signature has no time")
    if not signatures:
        raise BadSignature("there is no signature")
    return int(times[0]), signatures
