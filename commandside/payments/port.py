"""What the write side needs of a payment provider, and nothing that only one provider has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from domain.values import Money


@dataclass(frozen=True, slots=True)
class Charged:
    """The money is taken. Final."""

    reference: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The money is not taken and under this key never will be. `reason` is the provider's code. Final."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Cancelled before it was charged; under this key it never will be. Final."""

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
class Refunded:
    """The money is given back. Final."""

    reference: str


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """Nothing was given back, and nothing is remembered under this refund key.

    `reason` is `not_charged`, `exceeds_charge` or a code of the provider's own.
    """

    reason: str


FinalOutcome = Charged | Declined | Cancelled
PaymentOutcome = FinalOutcome | Pending | Processing
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
    """This key was used before with another amount: a fault of the caller's, nothing was charged by this call."""


class PaymentRefused(Exception):
    """The provider does not take this charge as it is, nor would the next time. Nothing was charged by the call."""


class PaymentProvider(Protocol):
    """A provider of payments. `key` is the idempotency key of one payment: however often and however concurrently
    it is used, the payment is charged at most once.

    Every method raises ProviderUnreachable, ProviderTimeout or ProviderMisbehaved, may be repeated after that, and
    answers within a bound of its own.
    """

    async def charge(self, key: str, amount: Money, token: str, order_id: str) -> PaymentOutcome:
        """Charge `amount` to what `token` stands for; a key that is known gets the outcome it has by now.

        `order_id` is for the provider's books and webhooks. Raises PaymentKeyReused, PaymentRefused as well.
        """
        ...

    async def find(self, key: str) -> PaymentOutcome | None:
        """What the provider knows of this payment; None: nothing, so nothing was charged (yet)."""
        ...

    async def cancel(self, key: str) -> PaymentOutcome:
        """See to it that this payment is never charged from now on; a key never seen is remembered as cancelled.

        Returns Cancelled, or the final outcome that came first: Charged (then `refund` is the way) or Declined.
        """
        ...

    async def refund(self, key: str, refund_key: str, amount: Money) -> RefundOutcome:
        """Give back `amount`, all of the payment or a part; the sum of refunds never exceeds what was charged.

        `refund_key` is the idempotency key of this refund, unique within its payment. Raises PaymentKeyReused
        when that was used before with another amount.
        """
        ...
