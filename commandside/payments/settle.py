"""Getting an answer about one payment out of a provider that may be slow, silent or gone."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from commandside.payments.port import (
    AuthorisationOutcome,
    Payment,
    PaymentProvider,
    PaymentRefused,
    Pending,
    Processing,
    ProviderError,
)

ATTEMPT_TIMEOUT_SECONDS: Final = 3.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class StillUnknown:
    """The deadline came first: the money may be held or may yet be. `reason` is for the log."""

    reason: str


Settled = AuthorisationOutcome | Pending | StillUnknown


async def settle(
    provider: PaymentProvider,
    payment: Payment,
    deadline: float,
    *,
    asked_before: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    jitter: Callable[[], float] = random.random,
) -> Settled:
    """Have the money held once, and insist on knowing how it went until `deadline` (seconds of `clock`).

    May be called again with the same key, after a crash too: `asked_before` then. Raises PaymentKeyReused, and
    PaymentRefused where nothing can have been held before; every other failure of the provider is waited out.
    `jitter` gives numbers in [0, 1).
    """
    asked = False
    pause_seconds = FIRST_PAUSE_SECONDS
    reason = "there was no time to ask"
    while (remaining := deadline - clock()) > 0:
        try:
            async with asyncio.timeout(min(ATTEMPT_TIMEOUT_SECONDS, remaining)):
                # What was asked once may have been done without an answer: look before asking again.
                outcome = await (provider.find(payment) if asked else provider.authorise(payment))
        except PaymentRefused as error:
            if not asked_before:
                raise
            # An earlier request may still be on its way, or was taken before the provider came to refuse: that nothing
            # is held is for `cancel` to find out.
            asked, reason = True, f"{type(error).__name__}: {error}"
        except (ProviderError, TimeoutError) as error:
            asked, reason = True, f"{type(error).__name__}: {error}".removesuffix(": ")
        else:
            if outcome is None:
                asked, asked_before = False, True
                continue
            if not isinstance(outcome, Processing):
                return outcome
            asked, reason = True, f"the provider is still working on {outcome.reference}"
        asked_before = True
        # Half fixed, half random: two that wait for the same provider drift apart, and neither ever spins.
        await sleep(min(pause_seconds * (0.5 + 0.5 * jitter()), max(deadline - clock(), 0)))
        pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
    return StillUnknown(reason)
