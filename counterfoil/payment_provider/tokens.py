"""What each payment token makes the provider do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

LONGEST_DELAY_MILLISECONDS: Final = 60_000

_SLOW = re.compile(r"tok_slow_([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a payment will go.

    `way` is that of the authorisation: `now`, the outcome is in the answer; `silent`, there is an outcome and never an
    answer; `slow`, the answer comes after `delay_milliseconds`; `fails_first`, the first attempt is answered with 500
    and changes nothing; `webhook`, the answer is 202 and the outcome is sent later. `reason` is set when the outcome is
    a decline. `capture` is the way of the capture: as above, or `refused`, and the payment is cancelled by it.
    """

    way: Literal["now", "silent", "slow", "fails_first", "webhook"] = "now"
    reason: str | None = None
    delay_milliseconds: int = 0
    capture: Literal["now", "silent", "fails_first", "refused"] = "now"


_PLANS: Final = {
    "tok_ok": Plan(),
    "tok_declined": Plan(reason="card_declined"),
    "tok_insufficient_funds": Plan(reason="insufficient_funds"),
    "tok_timeout": Plan("silent"),
    "tok_error_then_ok": Plan("fails_first"),
    "tok_webhook": Plan("webhook"),
    "tok_webhook_declined": Plan("webhook", reason="card_declined"),
    "tok_capture_timeout": Plan(capture="silent"),
    "tok_capture_error_then_ok": Plan(capture="fails_first"),
    "tok_capture_refused": Plan(capture="refused"),
}


def plan_for(token: str) -> Plan:
    """An unknown token is declined."""
    slow = _SLOW.fullmatch(token)
    if slow and (delay_milliseconds := int(slow[1])) <= LONGEST_DELAY_MILLISECONDS:
        return Plan("slow", delay_milliseconds=delay_milliseconds)
    return _PLANS.get(token, Plan(reason="unknown_token"))
