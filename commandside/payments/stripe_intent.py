"""What a PaymentIntent of Stripe's means to us: read the same way from an answer and from a webhook."""

from __future__ import annotations

from typing import Final

import msgspec

from commandside.payments.port import Authorised, Cancelled, Captured, Declined, PaymentOutcome, Pending
from commandside.payments.stripe_amounts import from_stripe

# In a PaymentIntent's metadata: by these an event of ours is told from those of others who use the same account.
KEY: Final = "counterfoil_key"
ORDER_ID: Final = "order_id"
# What we turned down ourselves; Stripe remembers only what a bank has turned down.
DECLINED: Final = "counterfoil_declined"

# Not for the shopper's eyes, who may be a thief: Stripe asks that these look like any other.
_NOT_TO_BE_TOLD: Final = frozenset({
    "fraudulent", "generic_decline", "lost_card", "merchant_blacklist", "pickup_card", "restricted_card",
    "security_violation", "stolen_card",
})  # fmt: skip
_AUTHENTICATION: Final = frozenset({"authentication_required", "authentication_not_handled"})


class PaymentError(msgspec.Struct, frozen=True):
    """Why a card was not charged: `code` is Stripe's, `decline_code` the bank's."""

    code: str | None = None
    decline_code: str | None = None

    @property
    def reason(self) -> str:
        """One code for it, fit to be told."""
        if not _AUTHENTICATION.isdisjoint((self.code, self.decline_code)):
            return "authentication_required"
        if self.code is not None and self.code != "card_declined":
            return self.code
        if self.decline_code is None or self.decline_code in _NOT_TO_BE_TOLD:
            return "card_declined"
        return self.decline_code


class Intent(msgspec.Struct, frozen=True):
    """The fields of a PaymentIntent that we look at. `amount` and `amount_received` are as Stripe counts them."""

    id: str
    amount: int
    currency: str
    status: str
    amount_received: int = 0
    metadata: dict[str, str] = {}
    last_payment_error: PaymentError | None = None

    @property
    def outcome(self) -> PaymentOutcome | None:
        """None: nothing is held, and nobody was asked yet. Raises NotAnAmount.

        A PaymentIntent waits for another card after a decline; it never gets one from us, so a decline is final.
        """
        match self.status:
            case "requires_capture":
                return Authorised(self.id)
            case "succeeded":
                return Captured(self.id, from_stripe(self.amount_received, self.currency))
            case "processing" | "requires_action":
                return Pending(self.id)
        if DECLINED in self.metadata:
            return Declined(self.metadata[DECLINED])
        if self.last_payment_error is not None:
            return Declined(self.last_payment_error.reason)
        return Cancelled(self.id) if self.status == "canceled" else None
