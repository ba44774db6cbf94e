"""The test payment methods: those that Stripe documents, and some of ours (`pm_ours_…`) for what it has none for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Decline:
    code: str
    decline_code: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """`slow_seconds` is how long it takes to be confirmed; `later` is decided after the answer (`processing`).

    `expires` is what becomes of the hold when it is to be captured; `lost` and `failing` are the requests whose first
    answer does not arrive, or is a 500.
    """

    decline: Decline | None = None
    needs_authentication: bool = False
    slow_seconds: float = 0.0
    later: bool = False
    expires: bool = False
    used_before: bool = False
    lost: str = ""
    failing: str = ""


_CARDS: Final = {
    "pm_card_visa": Card(),
    "pm_card_mastercard": Card(),
    "ctoken_visa": Card(),
    "pm_card_visa_chargeDeclined": Card(Decline("card_declined", "generic_decline")),
    "pm_card_visa_chargeDeclinedInsufficientFunds": Card(Decline("card_declined", "insufficient_funds")),
    "pm_card_visa_chargeDeclinedLostCard": Card(Decline("card_declined", "lost_card")),
    "pm_card_visa_chargeDeclinedFraudulent": Card(Decline("card_declined", "fraudulent")),
    "pm_card_chargeDeclinedExpiredCard": Card(Decline("expired_card")),
    "pm_card_chargeDeclinedIncorrectCvc": Card(Decline("incorrect_cvc")),
    "pm_card_chargeDeclinedProcessingError": Card(Decline("processing_error")),
    "pm_card_authenticationRequired": Card(needs_authentication=True),
    "pm_ours_later": Card(later=True),
    "pm_ours_later_declined": Card(Decline("card_declined", "generic_decline"), later=True),
    "pm_ours_error_then_ok": Card(failing="confirm"),
    "pm_ours_unanswered": Card(lost="confirm"),
    "pm_ours_capture_error_then_ok": Card(failing="capture"),
    "pm_ours_capture_unanswered": Card(lost="capture"),
    "pm_ours_used_before": Card(used_before=True),
    "pm_ours_expires": Card(expires=True),
}
_SLOW: Final = re.compile(r"pm_ours_slow_(\d{1,5})")


def card_of(token: str) -> Card | None:
    """None: there is no such payment method. `pm_ours_slow_300` is confirmed after 300 ms."""
    slow = _SLOW.fullmatch(token)
    return _CARDS.get(token) if slow is None else Card(slow_seconds=int(slow[1]) / 1000)
