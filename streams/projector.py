"""Keeps every projection up with the log, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

from commandside.event_store.log import EventLog
from projections.generations import Fed
from streams.dead_letters import DeadLetters
from streams.feeder import CannotGoOn, Projection
from streams.follower import Follower
from streams.metrics import ProjectorMetrics
from streams.patience import Patience
from streams.tail import Tail
from streams.view_feeds import ViewFeeds

__all__ = ["CannotGoOn", "Projection", "Projector"]


class Projector:
    """Each projection goes at its own pace from its own checkpoint: one whose store is away holds up no other.

    A new event is taken up when the log announces it, and `poll_seconds` later if the announcement was lost. Which
    generations of which views are wanted, `views` is asked every `watch_seconds`. `letters_apart`: the names of those
    of `projections` that are kept in another store than the dead letters, and do without that one (Follower).
    """

    def __init__(
        self,
        log: EventLog,
        projections: Sequence[Projection],
        dead_letters: DeadLetters,
        metrics: ProjectorMetrics,
        *,
        views: ViewFeeds | None = None,
        letters_apart: Collection[str] = (),
        batch_size_events: int = 1_000,
        poll_seconds: float = 0.5,
        watch_seconds: float = 0.5,
        outage_limit_seconds: float = 300.0,
        set_aside_limit_streams: int = 100,
        store_check_seconds: float = 2.0,
    ) -> None:
        self._tail = Tail(log, page_size_events=batch_size_events, poll_seconds=poll_seconds)
        self._metrics = metrics
        self._views = views
        self._watch_seconds = watch_seconds
        self._log_patience = self._patience("log", outage_limit_seconds)
        self._views_patience = self._patience("views", outage_limit_seconds)
        self._follower = partial(
            Follower,
            tail=self._tail,
            metrics=metrics,
            outage_limit_seconds=outage_limit_seconds,
            set_aside_limit_streams=set_aside_limit_streams,
            store_check_seconds=store_check_seconds,
        )
        self._fixed = [
            self._follower(projection, dead_letters=dead_letters, letters_apart=projection.name in letters_apart)
            for projection in projections
        ]
        self._fed: dict[Fed, tuple[Follower, asyncio.Task[None]]] = {}
        self._looked = views is None
        for follower in self._fixed:
            self._watch(follower)

    async def run(self) -> None:
        """Until cancelled. Raises an ExceptionGroup with CannotGoOn, or a store's error after too long an outage."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_awake(), name="tail")
            for follower in self._fixed:
                tasks.create_task(follower.run(), name=follower.name)
            if self._views is not None:
                tasks.create_task(self._keep_feeding(self._views, tasks), name="views")

    def positions(self) -> dict[str, int]:
        return {follower.name: follower.position for follower in self._followers()}

    def degraded(self) -> list[str]:
        """It does without nothing."""
        return []

    def troubles(self) -> dict[str, str]:
        """Which projections cannot work at present, and why. Empty: all is well."""
        found = {follower.name: follower.trouble for follower in self._followers()}
        found["log"] = self._log_patience.trouble
        found["views"] = self._views_patience.trouble or (None if self._looked else "have not been asked for yet")
        return {name: trouble for name, trouble in found.items() if trouble is not None}

    async def _keep_awake(self) -> None:
        while True:
            await self._log_patience.until_done(self._tail.wake)

    async def _keep_feeding(self, views: ViewFeeds, tasks: asyncio.TaskGroup) -> None:
        while True:
            wanted = await self._views_patience.until_done(views.wanted)
            self._feed(views, wanted, tasks)
            self._looked = True
            started = [fed for fed, (follower, _) in self._fed.items() if follower.started]
            await self._views_patience.until_done(partial(views.say_fed, started))
            await asyncio.sleep(self._watch_seconds)

    def _feed(self, views: ViewFeeds, wanted: Sequence[Fed], tasks: asyncio.TaskGroup) -> None:
        """The new ones begin before the old ones end: a generation that only changes its name is never left alone."""
        before, self._fed = self._fed, {}
        for fed in wanted:
            self._fed[fed] = before.pop(fed) if fed in before else self._begin(views, fed, tasks)
        names = {follower.name for follower in self._followers()}
        for follower, task in before.values():
            task.cancel()
            if follower.name not in names:
                self._metrics.forget(follower.name)

    def _begin(self, views: ViewFeeds, fed: Fed, tasks: asyncio.TaskGroup) -> tuple[Follower, asyncio.Task[None]]:
        follower = self._follower(views.projection(fed), dead_letters=views.dead_letters(fed), name=fed.name)
        self._watch(follower)
        return follower, tasks.create_task(follower.run(), name=fed.name)

    def _watch(self, follower: Follower) -> None:
        behind_seconds = self._metrics.behind_seconds.labels(follower.name)
        behind_seconds.set_function(partial(getattr, follower, "behind_seconds"))

    def _followers(self) -> list[Follower]:
        return [*(follower for follower, _ in self._fed.values()), *self._fixed]

    def _patience(self, name: str, outage_limit_seconds: float) -> Patience:
        return Patience(
            name, lambda: self._metrics.retries.labels(name).inc(), outage_limit_seconds=outage_limit_seconds
        )
