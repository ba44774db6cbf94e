"""Giving money back at Stripe, once per refund key, also after Stripe has forgotten its idempotency key."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec
import stripe

from commandside.payments.port import PaymentKeyReused, ProviderMisbehaved, Refunded, RefundOutcome, RefundRefused
from commandside.payments.stripe_connection import code_of, read, under
from commandside.payments.stripe_intent import KEY, Intent

if TYPE_CHECKING:
    from stripe import RefundService
    from stripe.params import RefundListParams

PAGE_SIZE_COUNT: Final = 100
PAGES_COUNT: Final = 10


async def give_back(refunds: RefundService, intent: Intent, refund_key: str, amount: int) -> RefundOutcome:
    """Of what was captured of `intent`, as Stripe counts it. Raises PaymentKeyReused, and the library's errors."""
    made = await _refunds_of(refunds, intent.id)
    # Stripe forgets an idempotency key after a day, and keeps what the refund says of itself.
    same = [refund for refund in made if refund.metadata.get(KEY) == refund_key]
    for refund in same:
        if refund.stands:
            if refund.amount != amount:
                raise PaymentKeyReused("the refund's key was used before with another amount")
            return Refunded(refund.id)
    if sum(refund.amount for refund in made if refund.stands) + amount > intent.amount_received:
        return RefundRefused("exceeds_capture")
    digest = hashlib.sha256(refund_key.encode()).hexdigest()[:32]
    try:
        answer = await under(
            # A refund that failed (the card is closed, say) is not remembered: the next one is another.
            f"{intent.id}/refund/{digest}/{len(same)}",
            lambda options: refunds.create_async(
                {"payment_intent": intent.id, "amount": amount, "metadata": {KEY: refund_key}}, options
            ),
        )
    except stripe.InvalidRequestError as error:
        # Another one came first. Stripe has a code where nothing is left, and none where it is too little.
        if code_of(error) == "charge_already_refunded" or error.param == "amount":
            return RefundRefused("exceeds_capture")
        if code_of(error) == "charge_disputed":
            return RefundRefused("charge_disputed")
        raise
    refund = read(answer, _Refund)
    return Refunded(refund.id) if refund.stands else RefundRefused(refund.failure_reason or refund.status)


class _Refund(msgspec.Struct, frozen=True):
    id: str
    amount: int
    status: str
    metadata: dict[str, str] = {}
    failure_reason: str | None = None

    @property
    def stands(self) -> bool:
        return self.status not in {"failed", "canceled"}


class _Refunds(msgspec.Struct, frozen=True):
    data: list[_Refund]
    has_more: bool


async def _refunds_of(refunds: RefundService, reference: str) -> list[_Refund]:
    found: list[_Refund] = []
    params: RefundListParams = {"payment_intent": reference, "limit": PAGE_SIZE_COUNT}
    for _ in range(PAGES_COUNT):
        page = read(await refunds.list_async(params), _Refunds)
        found += page.data
        if not page.has_more or not page.data:
            return found
        params = {**params, "starting_after": page.data[-1].id}
    raise ProviderMisbehaved(f"{reference} has more than {len(found)} refunds")
