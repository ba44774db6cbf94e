"""The JSON of the provider's requests and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Key = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.:-]{1,200}\Z")]
# Two and a half orders of magnitude below what SQLite's integers hold: sums of many fit too.
MinorUnits = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Amount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amount: MinorUnits
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]


class AuthoriseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    order_id: Key
    amount: Amount
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class CaptureRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amount: Amount


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refund_key: Key
    amount: Amount


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """`amount` is what was to be authorised; it and `order_id` are missing of a key that was cancelled before that.

    `captured_amount` and `refunded_amount` are in the minor units of its currency.
    """

    key: str
    status: Literal["authorised", "captured", "declined", "cancelled", "pending", "processing"]
    reference: str
    reason: str | None
    order_id: str | None
    amount: Amount | None
    captured_amount: int
    refunded_amount: int
    created_at: str


class Capture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`amount` is what was captured, by this request or by an earlier one."""

    status: Literal["captured", "refused"]
    reference: str | None = None
    amount: Amount | None = None
    reason: str | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    refund_key: str
    status: Literal["refunded", "refused"]
    reference: str | None = None
    reason: str | None = None


class PaymentPage(msgspec.Struct, frozen=True):
    """`next_after` is the `after` of the next page; None on the last one."""

    payments: list[Payment]
    next_after: int | None


class Sum(msgspec.Struct, frozen=True):
    """So many, and by currency how much in minor units."""

    count: int
    amounts: dict[str, int]


class WebhookCounts(msgspec.Struct, frozen=True):
    waiting: int
    delivered: int
    abandoned: int


class BooksSummary(msgspec.Struct, frozen=True):
    """`authorised` is what is held now; `charges` is everything ever captured, `refunds` what went back of it."""

    authorised: Sum
    charges: Sum
    refunds: Sum
    declined: Sum
    cancelled: Sum
    under_way: Sum
    webhooks: WebhookCounts


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


def encode(answer: Any) -> bytes:
    return msgspec.json.encode(answer)
