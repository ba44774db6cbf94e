"""How the built-in provider, those that stand in for it, and Stripe are told the way that a payment has to go."""

from __future__ import annotations

from typing import Final

from tests.contract.payments.under_test import Way

TIMEOUT_SECONDS: Final = 2.0

TOKENS: Final = {
    Way.GOOD: "tok_ok",
    Way.DECLINED: "tok_declined",
    Way.NO_FUNDS: "tok_insufficient_funds",
    Way.UNKNOWN: "tok_nobody_knows",
    Way.UNANSWERED: "tok_timeout",
    Way.SLOW: "tok_slow_1000",
    Way.TOO_SLOW: "tok_slow_4000",
    Way.FAILS_FIRST: "tok_error_then_ok",
    Way.LATER: "tok_webhook",
    Way.LATER_DECLINED: "tok_webhook_declined",
    Way.CAPTURE_UNANSWERED: "tok_capture_timeout",
    Way.CAPTURE_FAILS_FIRST: "tok_capture_error_then_ok",
    Way.CAPTURE_REFUSED: "tok_capture_refused",
}
REASONS: Final = {
    Way.DECLINED: "card_declined",
    Way.NO_FUNDS: "insufficient_funds",
    Way.UNKNOWN: "unknown_token",
    Way.LATER_DECLINED: "card_declined",
}

# More than the half second after which the library asks again while another request has the same key.
STRIPE_TIMEOUT_SECONDS: Final = 3.0

# Those of Stripe's own test mode, and some that only our server for tests has.
STRIPE_TOKENS: Final = {
    Way.GOOD: "pm_card_visa",
    Way.DECLINED: "pm_card_visa_chargeDeclined",
    Way.NO_FUNDS: "pm_card_visa_chargeDeclinedInsufficientFunds",
    Way.UNKNOWN: "pm_nobody_knows",
    Way.UNANSWERED: "pm_ours_unanswered",
    Way.FAILS_FIRST: "pm_ours_error_then_ok",
    Way.LATER: "pm_ours_later",
    Way.LATER_DECLINED: "pm_ours_later_declined",
    Way.CAPTURE_UNANSWERED: "pm_ours_capture_unanswered",
    Way.CAPTURE_FAILS_FIRST: "pm_ours_capture_error_then_ok",
    Way.CAPTURE_REFUSED: "pm_ours_expires",
}
_UNSEEN: Final = "while a card is being asked, its PaymentIntent looks as if it had never been confirmed"
STRIPE_LACKS: Final = {Way.SLOW: _UNSEEN, Way.TOO_SLOW: _UNSEEN}
