"""A payment, and all that may become of it: values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
