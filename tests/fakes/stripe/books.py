"""What the server knows: PaymentIntents and refunds, and how each goes from state to state."""

from __future__ import annotations

import asyncio
import copy
import time
from typing import Any, Final

from tests.fakes.stripe.cards import Card, Decline, card_of
from tests.fakes.stripe.objects import Json, Problem, event, new_id, payment_intent, refund

SMALLEST_AMOUNT: Final = 30
LARGEST_AMOUNT: Final = 99_999_999
LATER_SECONDS: Final = 0.5

# The last of them «in rare cases», which are the rule here.
_CANCELLABLE: Final = {
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "processing",
}


class Books:
    """`refund_status` is what the next refunds become; `events` are all that were sent out, oldest first."""

    def __init__(self) -> None:
        self.intents: dict[str, Json] = {}
        self.refunds: list[Json] = []
        self.events: list[Json] = []
        self.refund_status = "succeeded"
        self._cards: dict[str, Card] = {}
        self._busy: set[str] = set()
        self._befell: set[tuple[str, str]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, params: Json) -> Json:
        amount = _integer(params, "amount")
        if amount < SMALLEST_AMOUNT:
            raise Problem(400, "Amount is too small.", stored=False, code="amount_too_small", param="amount")
        if amount > LARGEST_AMOUNT:
            raise Problem(400, "Amount is too large.", stored=False, code="amount_too_large", param="amount")
        given = {"capture_method": params.get("capture_method", "automatic_async")}
        intent = payment_intent(amount, params["currency"], params.get("metadata", {}), _now(), **given)
        self.intents[intent["id"]] = intent
        self._tell("payment_intent.created", intent)
        return _seen(intent)

    def retrieve(self, reference: str) -> Json:
        return _seen(self._found(reference))

    def update(self, reference: str, params: Json) -> Json:
        intent = self._free(reference)
        if intent["status"] == "canceled":
            raise _unexpected(intent, "updated")
        intent["metadata"].update(params.get("metadata", {}))
        intent["last_payment_error"] = None
        return _seen(intent)

    async def confirm(self, reference: str, params: Json) -> Json:
        intent = self._free(reference)
        if intent["status"] not in {"requires_payment_method", "requires_confirmation"}:
            raise _unexpected(intent, "confirmed")
        name = "payment_method" if "payment_method" in params else "confirmation_token"
        token = params.get(name, "")
        card = card_of(token)
        if card is None:
            message = f"No such {name}: '{token}'"
            raise Problem(400, message, stored=False, code="resource_missing", param=name)
        if card.used_before:
            message = "The provided PaymentMethod was previously used. It may not be used again."
            raise Problem(400, message, code="payment_method_unexpected_state")
        self._cards[reference] = card
        self._may_fail(reference, "confirm")
        intent["payment_method"] = new_id("pm")
        if card.slow_seconds:
            self._busy.add(reference)
            await asyncio.sleep(card.slow_seconds)
            self._busy.remove(reference)
        if card.later:
            intent["status"] = "processing"
            self._tell("payment_intent.processing", intent)
            task = asyncio.create_task(self._decide_later(intent, card))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif card.needs_authentication and params.get("error_on_requires_action") != "true":
            intent["status"] = "requires_action"
            self._tell("payment_intent.requires_action", intent)
        else:
            failure = self._decide(intent, card)
            if failure is not None:
                raise Problem(402, "Your card was declined.", payment_intent=_seen(intent), **failure)
        return _seen(intent)

    def capture(self, reference: str, params: Json) -> Json:
        intent = self._free(reference)
        if intent["status"] == "requires_capture" and self._cards[reference].expires:
            self.expire(reference)
        if intent["status"] != "requires_capture":
            raise _unexpected(intent, "captured")
        self._may_fail(reference, "capture")
        amount = _integer(params, "amount_to_capture") if "amount_to_capture" in params else intent["amount"]
        if amount > intent["amount_capturable"]:
            message = "The amount to capture is greater than what is capturable."
            raise Problem(400, message, code="amount_too_large", param="amount_to_capture")
        intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
        self._tell("payment_intent.succeeded", intent)
        return _seen(intent)

    def cancel(self, reference: str, params: Json) -> Json:
        intent = self._free(reference)
        if intent["status"] not in _CANCELLABLE:
            raise _unexpected(intent, "canceled")
        self._close(intent, params.get("cancellation_reason"))
        return _seen(intent)

    def expire(self, reference: str) -> None:
        """What Stripe does to a hold that nobody captured for seven days."""
        self._close(self.intents[reference], "expired")

    def create_refund(self, params: Json) -> Json:
        intent = self._found(params["payment_intent"])
        if intent["status"] != "succeeded":
            raise Problem(400, "This PaymentIntent does not have a successful charge to refund.", code=None)
        unrefunded = intent["amount_received"] - sum(
            each["amount"] for each in self.refunds_of(intent["id"]) if each["status"] not in {"failed", "canceled"}
        )
        if unrefunded == 0:
            raise Problem(400, "The charge has already been refunded.", code="charge_already_refunded")
        amount = _integer(params, "amount") if "amount" in params else unrefunded
        if amount > unrefunded:  # has no code, at Stripe neither
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({unrefunded})"
            raise Problem(400, message, param="amount")
        made = refund(intent, amount, params.get("metadata", {}), _now(), self.refund_status)
        self.refunds.append(made)
        self._tell("refund.created", made)
        return _seen(made)

    def refunds_of(self, reference: str) -> list[Json]:
        """The newest first."""
        return [_seen(each) for each in reversed(self.refunds) if each["payment_intent"] == reference]

    async def _decide_later(self, intent: Json, card: Card) -> None:
        await asyncio.sleep(LATER_SECONDS)
        if intent["status"] == "processing":
            self._decide(intent, card)

    def _decide(self, intent: Json, card: Card) -> Json | None:
        decline = card.decline
        if card.needs_authentication:
            decline = Decline("authentication_required", "authentication_not_handled")
        intent["latest_charge"] = new_id("ch")
        if decline is None:
            intent.update(status="requires_capture", amount_capturable=intent["amount"])
            self._tell("payment_intent.amount_capturable_updated", intent)
            return None
        failure: Json = {"code": decline.code, "charge": intent["latest_charge"]}
        if decline.decline_code is not None:
            failure["decline_code"] = decline.decline_code
        intent["last_payment_error"] = {"type": "card_error", "message": "Your card was declined.", **failure}
        intent.update(status="requires_payment_method", payment_method=None)
        self._tell("payment_intent.payment_failed", intent)
        return failure

    def _close(self, intent: Json, reason: str | None) -> None:
        intent.update(status="canceled", cancellation_reason=reason, canceled_at=_now(), amount_capturable=0)
        self._tell("payment_intent.canceled", intent)

    def is_lost(self, reference: str, what: str) -> bool:
        """Whether the answer to this request does not arrive: the first one, with the cards that are for that."""
        card = self._cards.get(reference)
        return card is not None and card.lost == what and self._befalls(reference, what)

    def _may_fail(self, reference: str, what: str) -> None:
        if self._cards[reference].failing == what and self._befalls(reference, what):
            raise Problem(500, "An unknown error occurred")

    def _befalls(self, reference: str, what: str) -> bool:
        first = (reference, what) not in self._befell
        self._befell.add((reference, what))
        return first

    def _free(self, reference: str) -> Json:
        if reference in self._busy:
            message = "This object cannot be accessed right now because another API request is accessing it."
            raise Problem(429, message, stored=False, code="lock_timeout")
        return self._found(reference)

    def _found(self, reference: str) -> Json:
        if reference not in self.intents:
            message = f"No such payment_intent: '{reference}'"
            raise Problem(404, message, stored=False, code="resource_missing", param="intent")
        return self.intents[reference]

    def _tell(self, kind: str, about: Json) -> None:
        self.events.append(event(kind, _seen(about), _now()))


def _unexpected(intent: Json, done: str) -> Problem:
    return Problem(
        400,
        f"This PaymentIntent could not be {done} because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=_seen(intent),
    )


def _integer(params: Json, name: str) -> int:
    value: Any = params.get(name, "")
    if not str(value).isdecimal() or int(value) < 1:
        raise Problem(400, "Invalid positive integer", stored=False, code="parameter_invalid_integer", param=name)
    return int(value)


def _now() -> int:
    return int(time.time())


def _seen(about: Json) -> Json:
    """As it is now: what is answered does not change afterwards."""
    return copy.deepcopy(about)
