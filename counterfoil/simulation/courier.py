"""Carries the provider's webhooks to the shop: again until one is taken; late, twice and out of order."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import Final

import msgspec

from commandside.api.errors import TRANSLATIONS
from commandside.payments.webhook import BadSignature, BadWebhook, WebhookEvent, sign, verify
from commandside.write_side import WriteSide
from counterfoil.simulation.process import CommandProcess
from counterfoil.simulation.world import World

SECRET: Final = "a webhook secret"
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 30.0
ATTEMPTS_LIMIT_COUNT: Final = 128


class Courier:
    """`taken` are the events that were answered with a 200, and how long the log was then."""

    def __init__(self, world: World, processes: Sequence[CommandProcess]) -> None:
        self._world = world
        self._processes = processes
        self.taken: list[tuple[WebhookEvent, int]] = []
        self.under_way_count = 0
        self.faults: list[str] = []

    def tell(self, event: WebhookEvent) -> None:
        self.under_way_count += 1
        # Outside of whatever process the provider was asked by: the courier does not die with it.
        self._world.loop.create_task(self._deliver(event), context=Context())

    async def _deliver(self, event: WebhookEvent) -> None:
        world, body = self._world, msgspec.json.encode(event)
        fault = world.adversity.strike("webhook", 0, world.now_seconds)
        repeats_count = 0
        await world.later(world.dice.random() * 0.2, lambda: None)
        if fault is not None:
            if fault.kind == "webhook_late":
                await world.later(fault.seconds, lambda: None)
            else:
                repeats_count = 1  # it comes twice, or nobody hears that it was taken
        pause_seconds = FIRST_PAUSE_SECONDS
        for _ in range(ATTEMPTS_LIMIT_COUNT):
            await world.later(max(0.0, world.dark_until_seconds - world.now_seconds), lambda: None)
            if await self._post(body):
                self.taken.append((event, len(world.log.rows)))
                if repeats_count == 0:
                    self.under_way_count -= 1
                    return
                repeats_count -= 1
                await world.later(fault.seconds if fault is not None else 0.0, lambda: None)
            else:
                await world.later(pause_seconds, lambda: None)
                pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    async def _post(self, body: bytes) -> bool:
        world = self._world
        process = self._processes[world.dice.randrange(len(self._processes))]
        header = sign(body, SECRET, world.true_time())

        async def take(write_side: WriteSide) -> bool:
            try:
                await write_side.saga.on_webhook(verify(body, header, SECRET, write_side.clock()))
            except (BadSignature, BadWebhook):
                return False
            except Exception as error:  # any answer but a 2xx: it is posted again; what nobody expected is seen
                self._note(error)
                return False
            return True

        return bool(await process.serve(take))

    def _note(self, error: Exception) -> None:
        if not any(kind in TRANSLATIONS for kind in type(error).__mro__):
            self.faults.append(f"a webhook was answered with 500: {error!r}")
