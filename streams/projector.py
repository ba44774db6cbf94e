"""Keeps every projection up with the log, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from commandside.event_store.log import EventLog
from streams.dead_letters import DeadLetters
from streams.follower import CannotGoOn, Follower, Projection
from streams.metrics import ProjectorMetrics
from streams.patience import Patience
from streams.tail import Tail

__all__ = ["CannotGoOn", "Projection", "Projector"]


class Projector:
    """Each projection goes at its own pace from its own checkpoint: one whose store is away holds up no other.

    A new event is taken up when the log announces it, and `poll_seconds` later if the announcement was lost.
    """

    def __init__(
        self,
        log: EventLog,
        projections: Sequence[Projection],
        dead_letters: DeadLetters,
        metrics: ProjectorMetrics,
        *,
        batch_size_events: int = 500,
        poll_seconds: float = 0.5,
        outage_limit_seconds: float = 300.0,
        set_aside_limit_streams: int = 100,
        store_check_seconds: float = 2.0,
    ) -> None:
        self._tail = Tail(log, page_size_events=batch_size_events, poll_seconds=poll_seconds)
        self._patience = Patience(
            "log", lambda: metrics.retries.labels("log").inc(), outage_limit_seconds=outage_limit_seconds
        )
        self._followers = [
            Follower(
                projection,
                self._tail,
                dead_letters,
                metrics,
                outage_limit_seconds=outage_limit_seconds,
                set_aside_limit_streams=set_aside_limit_streams,
                store_check_seconds=store_check_seconds,
            )
            for projection in projections
        ]
        for follower in self._followers:
            metrics.behind_seconds.labels(follower.name).set_function(partial(getattr, follower, "behind_seconds"))

    async def run(self) -> None:
        """Until cancelled. Raises an ExceptionGroup with CannotGoOn, or a store's error after too long an outage."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_awake(), name="tail")
            for follower in self._followers:
                tasks.create_task(follower.run(), name=follower.name)

    def positions(self) -> dict[str, int]:
        return {follower.name: follower.position for follower in self._followers}

    def troubles(self) -> dict[str, str]:
        """Which projections cannot work at present, and why. Empty: all is well."""
        found = {follower.name: follower.trouble for follower in self._followers} | {"log": self._patience.trouble}
        return {name: trouble for name, trouble in found.items() if trouble is not None}

    async def _keep_awake(self) -> None:
        while True:
            await self._patience.until_done(self._tail.wake)
