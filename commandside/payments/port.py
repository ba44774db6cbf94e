"""What the write side needs of a payment provider, and nothing that only one provider has."""

from __future__ import annotations

from typing import Protocol

from commandside.payments.payment import (
    NOT_AUTHORISED,
    AuthorisationOutcome,
    Authorised,
    Cancelled,
    Captured,
    CaptureOutcome,
    CaptureRefused,
    Declined,
    Payment,
    PaymentOutcome,
    Pending,
    Processing,
    Refunded,
    RefundOutcome,
    RefundRefused,
)
from domain.values import Money

__all__ = [
    "NOT_AUTHORISED",
    "AuthorisationOutcome",
    "Authorised",
    "Cancelled",
    "CaptureOutcome",
    "CaptureRefused",
    "Captured",
    "Declined",
    "Payment",
    "PaymentKeyReused",
    "PaymentOutcome",
    "PaymentProvider",
    "PaymentRefused",
    "Pending",
    "Processing",
    "ProviderError",
    "ProviderMisbehaved",
    "ProviderTimeout",
    "ProviderUnreachable",
    "RefundOutcome",
    "RefundRefused",
    "Refunded",
]


class ProviderError(Exception):
    """The call brought no outcome: whether it had an effect is not known. The same call may be made again."""


class ProviderUnreachable(ProviderError):
    """No connection, or an answer of 5xx or 429."""


class ProviderTimeout(ProviderError):
    """It was asked and did not answer in time."""


class ProviderMisbehaved(ProviderError):
    """It answered with something its contract does not have. Retrying rarely helps; somebody has to look."""


class PaymentKeyReused(Exception):
    """This key was used before with another amount: a fault of the caller's, nothing came of this call."""


class PaymentRefused(Exception):
    """The provider does not take this payment as it is, nor would the next time. Nothing came of the call."""


class PaymentProvider(Protocol):
    """A provider of payments in two steps: the money is held first, and taken once the order stands.

    Every method raises ProviderUnreachable, ProviderTimeout or ProviderMisbehaved, may be repeated after that, and
    answers within a bound of its own.
    """

    async def authorise(self, payment: Payment) -> PaymentOutcome:
        """Have the amount held on what the token stands for; a key that is known gets the outcome it has by now.

        Raises PaymentKeyReused, PaymentRefused as well.
        """
        ...

    async def find(self, payment: Payment) -> PaymentOutcome | None:
        """What the provider knows of this payment; None: nothing, so nothing is held (yet)."""
        ...

    async def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        """Take `amount` of what is held, all or a part of it, once: the rest is let go.

        Of what was captured before it says how much that was, whatever `amount` is now. More than was authorised, or
        nothing, is refused.
        """
        ...

    async def cancel(self, payment: Payment) -> AuthorisationOutcome:
        """See to it that this payment is never taken from now on: what is held is let go, a key never seen is
        remembered as cancelled.

        Returns Cancelled, or the final outcome that came first: Captured (then `refund` is the way) or Declined.
        """
        ...

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        """Give back `amount`, all that was captured or a part; the sum of refunds never exceeds what was captured.

        `refund_key` is the idempotency key of this refund, unique within its payment. Raises PaymentKeyReused
        when that was used before with another amount.
        """
        ...
