"""What the write side needs of a payment provider, and nothing that only one provider has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from domain.values import Money

NOT_AUTHORISED: Final = "not_authorised"


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment, and all by which a provider finds it again. `key` is its idempotency key: however often and however
    concurrently it is used, the payment is authorised and captured at most once.

    `order_id` is for the provider's books and webhooks. `reference` is the provider's own name of it, once it is known.
    """

    key: str
    amount: Money
    token: str
    order_id: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Authorised:
    """The money is held for us and not taken: `capture` takes it, `cancel` lets it go."""

    reference: str


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is taken, this much of it; what was authorised beyond that is let go. Final."""

    reference: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Declined:
    """The money is not held and under this key never will be. `reason` is the provider's code. Final."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Let go before it was taken; under this key it never will be. Final."""

    reference: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider has it and will tell the outcome by webhook; `find` tells it too, once there is one."""

    reference: str


@dataclass(frozen=True, slots=True)
class Processing:
    """The provider is working on it: ask again."""

    reference: str


@dataclass(frozen=True, slots=True)
class CaptureRefused:
    """Nothing was taken by this call.

    `reason` is NOT_AUTHORISED: declined, cancelled, let go by the provider or never seen, and never to be taken.
    `under_way`: it is not settled yet whether the money is held. Or a code of the provider's own, for a request that it
    cannot take as it is.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The money is given back. Final."""

    reference: str


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """Nothing was given back, and nothing is remembered under this refund key.

    `reason` is `not_captured`, `exceeds_capture` or a code of the provider's own.
    """

    reason: str


AuthorisationOutcome = Authorised | Captured | Declined | Cancelled
PaymentOutcome = AuthorisationOutcome | Pending | Processing
CaptureOutcome = Captured | CaptureRefused
RefundOutcome = Refunded | RefundRefused


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
