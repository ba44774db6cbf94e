"""Brings the webhooks to whoever wants them, again and again until they are taken."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import Final

import httpx

from commandside.payments.webhook import SIGNATURE_HEADER, sign
from counterfoil.payment_provider.books import Delivery
from counterfoil.payment_provider.clerk import LONGEST_IDLE_SECONDS, Clerk, wait

BATCH_SIZE_EVENTS: Final = 32
ATTEMPT_TIMEOUT_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 30.0
# With these pauses an hour, which outlives every reservation; `find` has the outcome for those who come later.
MAX_ATTEMPTS_COUNT: Final = 128

log = logging.getLogger("counterfoil.payment_provider")


class Courier:
    """Posts signed events to `url`. An answer of 2xx takes the event; anything else, or nothing, is tried again."""

    def __init__(self, clerk: Clerk, url: str, secret: str, *, max_attempts_count: int = MAX_ATTEMPTS_COUNT) -> None:
        self._clerk = clerk
        self._url = url
        self._secret = secret
        self._max_attempts_count = max_attempts_count
        self._event_promised = asyncio.Event()

    def expect_events(self) -> None:
        self._event_promised.set()

    async def deliver_forever(self) -> None:
        books = self._clerk.books
        async with httpx.AsyncClient(timeout=ATTEMPT_TIMEOUT_SECONDS, trust_env=False) as client:
            while True:
                self._event_promised.clear()
                deliveries = await self._clerk.do(books.due_deliveries, time.time(), BATCH_SIZE_EVENTS)
                if deliveries:
                    async with asyncio.TaskGroup() as batch:
                        for delivery in deliveries:
                            batch.create_task(self._deliver(client, delivery))
                    continue
                next_at = await self._clerk.do(books.next_delivery_at)
                await wait(self._event_promised, LONGEST_IDLE_SECONDS if next_at is None else next_at - time.time())

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        failure = await self._failure(client, delivery)
        if failure is None:
            await self._clerk.do(self._clerk.books.delivered, delivery.event_id)
            return
        attempts_count = delivery.attempts_count + 1
        is_last = attempts_count >= self._max_attempts_count
        log.log(
            logging.ERROR if is_last else logging.WARNING,
            "webhook %s not delivered to %s, attempt %d of %d: %s",
            delivery.event_id,
            self._url,
            attempts_count,
            self._max_attempts_count,
            failure,
        )
        next_attempt_at = None if is_last else time.time() + pause_seconds(attempts_count)
        await self._clerk.do(self._clerk.books.not_delivered, delivery.event_id, next_attempt_at)

    async def _failure(self, client: httpx.AsyncClient, delivery: Delivery) -> str | None:
        signature = sign(delivery.body, self._secret, datetime.now(UTC))
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
        try:
            # httpx bounds each read; an answer that dribbles in would pass that and hold up the whole batch.
            async with asyncio.timeout(ATTEMPT_TIMEOUT_SECONDS):
                answer = await client.post(self._url, content=delivery.body, headers=headers)
        except (httpx.TransportError, TimeoutError) as error:
            return type(error).__name__
        return None if answer.is_success else f"answered with {answer.status_code}"


def pause_seconds(attempts_count: int) -> float:
    """How long to wait after so many failures: doubling up to a bound, half of it at random."""
    longest = min(FIRST_PAUSE_SECONDS * 2 ** min(attempts_count - 1, 16), LONGEST_PAUSE_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing
