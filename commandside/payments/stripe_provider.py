"""The port at Stripe: a PaymentIntent for each payment, with manual capture (`docs/stripe.md`)."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import stripe

from commandside.payments.port import (
    NOT_AUTHORISED,
    AuthorisationOutcome,
    Authorised,
    Cancelled,
    Captured,
    CaptureOutcome,
    CaptureRefused,
    Declined,
    Payment,
    PaymentKeyReused,
    PaymentOutcome,
    PaymentRefused,
    Pending,
    Processing,
    ProviderError,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
    RefundOutcome,
    RefundRefused,
)
from commandside.payments.stripe_amounts import NotAnAmount, to_stripe
from commandside.payments.stripe_connection import (
    HttpClient,
    connect,
    described,
    is_in_use,
    is_replay,
    port_error,
    read,
    reason_of,
    under,
)
from commandside.payments.stripe_intent import DECLINED, KEY, ORDER_ID, Intent
from commandside.payments.stripe_refunds import give_back
from domain.values import Money

if TYPE_CHECKING:
    from stripe.params import PaymentIntentConfirmParams

POOL_SIZE_CONNECTIONS: Final = 100  # Stripe takes about a hundred requests a second
READINESS_AGE_SECONDS: Final = 5.0
READINESS_TIMEOUT_SECONDS: Final = 3.0

# Ids of Stripe's. Anything else, a card's number above all, goes nowhere from here.
_PAYMENT_METHOD: Final = re.compile(r"pm_[A-Za-z0-9_]{1,200}")
_CONFIRMATION_TOKEN: Final = re.compile(r"ctoken_[A-Za-z0-9_]{1,200}")

_TOKEN_PARAMETERS: Final = ("payment_method", "confirmation_token")
_TOKEN_UNFIT: Final = "payment_method_unexpected_state"  # used before, say, and belonging to no customer
_UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"
_REFUSALS: Final = (stripe.AuthenticationError, stripe.PermissionError, stripe.InvalidRequestError)


class StripePaymentProvider:
    """Stripe by its `stripe` library. Implements PaymentProvider; close it, or use `async with`.

    `timeout_seconds` bounds every call of the port, however many requests it takes and however often the library
    repeats one (twice at most). `api_base` is another address than Stripe's, for tests.
    Belongs to the event loop in which it is first asked, and may be made before there is one.
    """

    def __init__(
        self,
        api_key: str,
        *,
        api_base: str | None = None,
        timeout_seconds: float = 10.0,
        pool_size_connections: int = POOL_SIZE_CONNECTIONS,
    ) -> None:
        self._api_key = api_key
        self._api_base = api_base
        self._timeout_seconds = timeout_seconds
        self._pool_size_connections = pool_size_connections
        self._connection: tuple[stripe.StripeClient, HttpClient] | None = None
        self._closed = False
        self._readiness: tuple[float, bool] | None = None
        self._looking = asyncio.Lock()

    async def authorise(self, payment: Payment) -> PaymentOutcome:
        async with self._asking():
            try:
                intent, is_new = await self._intent(payment)
                known = None if is_new else await self._outcome(intent)
                return known or await self._confirm(payment, intent)
            except _REFUSALS as error:
                raise PaymentRefused(described(error)) from None

    async def find(self, payment: Payment) -> PaymentOutcome | None:
        async with self._asking():
            try:
                intent, _ = await self._intent(payment)
            except PaymentRefused:
                return None  # what Stripe does not take, it does not hold
            return await self._outcome(intent)

    async def capture(self, payment: Payment, amount: Money) -> CaptureOutcome:
        async with self._asking():
            try:
                intent, _ = await self._intent(payment)
            except PaymentRefused:
                return CaptureRefused(NOT_AUTHORISED)
            outcome = await self._outcome(intent)
            if isinstance(outcome, Captured):
                return outcome
            if not isinstance(outcome, Authorised):
                return CaptureRefused("under_way" if isinstance(outcome, Pending) else NOT_AUTHORISED)
            if amount.currency != payment.amount.currency:
                return CaptureRefused("currency_mismatch")
            if amount.amount <= 0:
                return CaptureRefused("nothing_to_capture")
            if payment.amount < amount:
                return CaptureRefused("exceeds_authorisation")
            try:
                return await self._capture(outcome.reference, to_stripe(amount))
            except NotAnAmount:
                return CaptureRefused("amount_not_representable")

    async def cancel(self, payment: Payment) -> AuthorisationOutcome:
        async with self._asking():
            try:
                intent, _ = await self._intent(payment)
            except PaymentRefused:
                return Cancelled(payment.key)  # what Stripe does not take, it will not hold
            outcome = await self._outcome(intent)
            if isinstance(outcome, Captured | Declined | Cancelled):
                return outcome
            return await self._cancel(intent.id)

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> RefundOutcome:
        async with self._asking():
            try:
                intent, _ = await self._intent(payment)
            except PaymentRefused:
                return RefundRefused("not_captured")
            captured = await self._outcome(intent)
            if not isinstance(captured, Captured):
                return RefundRefused("not_captured")
            if amount.currency != captured.amount.currency:
                return RefundRefused("currency_mismatch")
            try:
                return await give_back(self._stripe.v1.refunds, intent, refund_key, to_stripe(amount))
            except NotAnAmount:
                return RefundRefused("amount_not_representable")

    async def is_ready(self) -> bool:
        """Whether Stripe answers this key: for a readiness page. Asks once in a few seconds at most."""
        async with self._looking:
            if self._readiness is None or time.monotonic() - self._readiness[0] > READINESS_AGE_SECONDS:
                answers = await self._answers()
                self._readiness = time.monotonic(), answers
            return self._readiness[1]

    async def close(self) -> None:
        """Hangs up. Asking afterwards raises RuntimeError."""
        self._closed = True
        if self._connection is not None:
            await self._connection[1].close_async()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def _asking(self, at_most_seconds: float = math.inf) -> AsyncIterator[None]:
        """Around every call of the port: its bound, and the port's errors instead of the library's."""
        timeout_seconds = min(self._timeout_seconds, at_most_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                yield
        except TimeoutError:
            raise ProviderTimeout(f"no answer in {timeout_seconds} s") from None
        except stripe.StripeError as error:
            raise port_error(error) from None
        except NotAnAmount as error:
            raise ProviderMisbehaved(str(error)) from None

    async def _intent(self, payment: Payment) -> tuple[Intent, bool]:
        """The payment's PaymentIntent as it is now, made (and not confirmed) where there is none; whether it is new.

        Raises PaymentKeyReused, and PaymentRefused where Stripe takes none like it.
        """
        try:
            amount, currency = to_stripe(payment.amount), payment.amount.currency.lower()
        except NotAnAmount as error:
            raise PaymentRefused(str(error)) from None
        if payment.reference is not None:
            intent = await self._retrieve(payment.reference)
            if (intent.metadata.get(KEY), intent.amount, intent.currency) != (payment.key, amount, currency):
                raise PaymentKeyReused(f"{payment.reference} is of another payment, or of another amount")
            return intent, False
        try:
            made = await under(
                f"{payment.key}/create",
                lambda options: self._stripe.v1.payment_intents.create_async(
                    {
                        "amount": amount,
                        "currency": currency,
                        "capture_method": "manual",
                        "allowed_payment_method_types": ["card"],
                        "metadata": {KEY: payment.key, ORDER_ID: payment.order_id},
                    },
                    options,
                ),
            )
        except stripe.InvalidRequestError as error:
            raise PaymentRefused(described(error)) from None
        return await self._as_it_is_now(made), not is_replay(made)

    async def _outcome(self, intent: Intent) -> PaymentOutcome | None:
        # There is no page of ours on which a shopper could prove to be the card's owner.
        if intent.status == "requires_action":
            return await self._turn_down(intent.id, "authentication_required")
        return intent.outcome

    async def _confirm(self, payment: Payment, intent: Intent) -> PaymentOutcome:
        params = _confirmation(payment.token)
        if params is None:
            return await self._turn_down(intent.id, "unknown_token")
        try:
            confirmed = await under(
                f"{intent.id}/confirm",
                lambda options: self._stripe.v1.payment_intents.confirm_async(intent.id, params, options),
            )
        except stripe.CardError as error:
            return Declined(reason_of(error))
        except stripe.InvalidRequestError as error:
            if error.code == _UNEXPECTED_STATE:
                return await self._known(intent.id)
            if error.param in _TOKEN_PARAMETERS or error.code == _TOKEN_UNFIT:
                return await self._turn_down(intent.id, "unknown_token")
            raise
        except (stripe.APIError, stripe.RateLimitError) as error:
            if is_in_use(error):
                return Processing(intent.id)
            raise
        return await self._outcome(await self._as_it_is_now(confirmed)) or Processing(intent.id)

    async def _turn_down(self, reference: str, reason: str) -> PaymentOutcome:
        """Have the PaymentIntent say why, and cancel it: nothing can be changed in it afterwards."""
        intents = self._stripe.v1.payment_intents
        try:
            await intents.update_async(reference, {"metadata": {DECLINED: reason}})
            await intents.cancel_async(reference, {"cancellation_reason": "abandoned"})
        except stripe.InvalidRequestError as error:
            if error.code != _UNEXPECTED_STATE:
                raise
        return await self._known(reference)

    async def _capture(self, reference: str, amount: int) -> CaptureOutcome:
        try:
            captured = await under(
                f"{reference}/capture/{amount}",
                lambda options: self._stripe.v1.payment_intents.capture_async(
                    reference, {"amount_to_capture": amount}, options
                ),
            )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            outcome = await self._known(reference)
            if isinstance(outcome, Authorised):
                raise ProviderMisbehaved(described(error)) from None
        else:
            outcome = (await self._as_it_is_now(captured)).outcome or Processing(reference)
        if isinstance(outcome, Captured):
            return outcome
        if isinstance(outcome, Declined | Cancelled):
            return CaptureRefused(NOT_AUTHORISED)
        raise ProviderUnreachable(f"Stripe is still working on {reference}")

    async def _cancel(self, reference: str) -> AuthorisationOutcome:
        # Under no key of ours: an old answer would be told again where the state has changed since.
        try:
            await self._stripe.v1.payment_intents.cancel_async(reference)
        except stripe.InvalidRequestError as error:
            if error.code != _UNEXPECTED_STATE:
                raise
        outcome = await self._known(reference)
        if isinstance(outcome, Captured | Declined | Cancelled):
            return outcome
        raise ProviderUnreachable(f"Stripe is still working on {reference}")

    async def _known(self, reference: str) -> PaymentOutcome:
        """What became of a PaymentIntent that was confirmed, captured or cancelled."""
        outcome = (await self._retrieve(reference)).outcome
        return outcome or Processing(reference)

    async def _retrieve(self, reference: str) -> Intent:
        return read(await self._stripe.v1.payment_intents.retrieve_async(reference), Intent)

    async def _as_it_is_now(self, answer: stripe.PaymentIntent) -> Intent:
        """A stored answer shows what was true when it was first given."""
        intent = read(answer, Intent)
        return await self._retrieve(intent.id) if is_replay(answer) else intent

    async def _answers(self) -> bool:
        try:
            async with self._asking(READINESS_TIMEOUT_SECONDS):
                await self._stripe.v1.payment_intents.list_async({"limit": 1})
        except ProviderError:
            return False
        return True

    @property
    def _stripe(self) -> stripe.StripeClient:
        if self._closed:
            raise RuntimeError("this provider is closed")
        if self._connection is None:
            self._connection = connect(
                self._api_key, self._api_base, self._timeout_seconds, self._pool_size_connections
            )
        return self._connection[0]


def _confirmation(token: str) -> PaymentIntentConfirmParams | None:
    """What a PaymentIntent is confirmed with. A card that wants its owner to prove who they are is turned down."""
    if _PAYMENT_METHOD.fullmatch(token):
        return {"payment_method": token, "error_on_requires_action": True}
    if _CONFIRMATION_TOKEN.fullmatch(token):
        return {"confirmation_token": token, "error_on_requires_action": True}
    return None
