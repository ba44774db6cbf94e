"""Whoever kills the parts of a shop and cuts what lies between them, as a seed says."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tests.fault.shop_in_parts import ShopInParts
from tests.fixtures.flaky_proxy import FlakyProxy

MEETING_TIMEOUT_SECONDS: Final = 90
PAUSE_SECONDS: Final = (0.05, 0.5)
AWAY_SECONDS: Final = (0.05, 0.6)
FROZEN_SECONDS: Final = (0.05, 1.5)
ANSWERS_LOST_COUNT: Final = (1, 4)
KEPT_BYTES: Final = (0, 0, 7, 100)


@dataclass
class Adversary:
    """`done` counts the faults that struck something, by name."""

    shop: ShopInParts
    seed: str
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"adversary {self.seed}")  # noqa: S311
        ways = {"clients": self.shop.clients, "database": self.shop.database, "payments": self.shop.payments}
        kills: dict[str, Callable[[], Awaitable[None]]] = {
            f"kill {part}": self._killing(part)
            for part in ("command-api", "provider", "postgres", "valkey", "projector")
        }
        kills["kill command-api before it hears of postgres"] = self._met("command-api", self.shop.database)
        kills["kill command-api before it hears of the provider"] = self._met("command-api", self.shop.payments)
        kills["kill postgres after it has answered"] = self._met("postgres", self.shop.database)
        kills["kill provider after it has answered"] = self._met("provider", self.shop.payments)
        cuts = {
            f"{name} {way}": one
            for way, proxy in ways.items()
            for name, one in {
                "reset": self._cutting(proxy, reset=True),
                "end": self._cutting(proxy, reset=False),
                "lose answers of": self._losing(proxy),
                "close": self._closing(proxy),
                "freeze": self._freezing(proxy),
            }.items()
        }
        self._kills, self._cuts = kills, cuts

    async def strike(self, faults_count: int, kills_share: float = 0.4) -> None:
        """So many faults one after another, each when what it is to hit works; and all works again at the end."""
        for _ in range(faults_count):
            names = self._kills if self._draw.random() < kills_share else self._cuts
            name = self._draw.choice(sorted(names))
            await names[name]()
            self.done[name] += 1
            await asyncio.sleep(self._draw.uniform(*PAUSE_SECONDS))
        for part in self.shop.parts.values():
            await part.until_ready()

    def _killing(self, part: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            await self._until_all_work()
            await self.shop.parts[part].until_ready()
            self.shop.parts[part].kill()
            await self._start_again(part)

        return kill

    def _met(self, part: str, proxy: FlakyProxy) -> Callable[[], Awaitable[None]]:
        """Killed when the server behind the proxy has answered, and before anybody hears of it."""

        async def kill() -> None:
            proxy.lose_answers(1)
            self.shop.parts[part].kill()

        async def meet() -> None:
            await self._until_all_work()
            async with proxy.meeting_an_answer(kill) as met, asyncio.timeout(MEETING_TIMEOUT_SECONDS):
                await met.wait()
            proxy.lose_answers(0)
            await self._start_again(part)

        return meet

    def _cutting(self, proxy: FlakyProxy, *, reset: bool) -> Callable[[], Awaitable[None]]:
        async def cut() -> None:
            await self._until_linked(proxy)
            proxy.cut(reset=reset)

        return cut

    def _losing(self, proxy: FlakyProxy) -> Callable[[], Awaitable[None]]:
        async def lose() -> None:
            await self._until_linked(proxy)
            proxy.lose_answers(self._draw.randint(*ANSWERS_LOST_COUNT), kept_bytes=self._draw.choice(KEPT_BYTES))
            async with asyncio.timeout(MEETING_TIMEOUT_SECONDS):
                await proxy.answers_lost()

        return lose

    def _closing(self, proxy: FlakyProxy) -> Callable[[], Awaitable[None]]:
        async def close() -> None:
            await self._until_linked(proxy)
            await proxy.go_away()
            await asyncio.sleep(self._draw.uniform(*AWAY_SECONDS))
            await proxy.come_back()

        return close

    def _freezing(self, proxy: FlakyProxy) -> Callable[[], Awaitable[None]]:
        async def freeze() -> None:
            await self._until_linked(proxy)
            proxy.freeze()
            await asyncio.sleep(self._draw.uniform(*FROZEN_SECONDS))
            proxy.thaw()

        return freeze

    async def _start_again(self, part: str) -> None:
        await asyncio.sleep(self._draw.uniform(0, PAUSE_SECONDS[0]))
        await self.shop.parts[part].start()

    async def _until_all_work(self) -> None:
        for part in ("postgres", "provider", "valkey", "command-api"):
            await self.shop.parts[part].until_ready()

    async def _until_linked(self, proxy: FlakyProxy) -> None:
        """Where nobody talks there is nothing to cut."""
        await self._until_all_work()
        async with asyncio.timeout(MEETING_TIMEOUT_SECONDS):
            await proxy.linked()
