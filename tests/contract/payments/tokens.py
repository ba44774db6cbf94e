"""How the built-in provider, and those that stand in for it, are told the way that a payment has to go."""

from __future__ import annotations

from typing import Final

from tests.contract.payments.under_test import Way

TIMEOUT_SECONDS: Final = 1.0

TOKENS: Final = {
    Way.GOOD: "tok_ok",
    Way.DECLINED: "tok_declined",
    Way.NO_FUNDS: "tok_insufficient_funds",
    Way.UNKNOWN: "tok_nobody_knows",
    Way.UNANSWERED: "tok_timeout",
    Way.SLOW: "tok_slow_600",
    Way.TOO_SLOW: "tok_slow_2000",
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
