"""Builds a view again beside the live one, from all of history, and swaps it in while the shop sells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from projections.generations import Generations, GenerationsChanged, Standing, Successor, ViewName
from projections.keys import Keys
from projections.view_projection import Streams, ViewProjection
from projections.writes import CheckpointLost
from streams.dead_letters import RedisDeadLetters
from streams.feeder import CannotGoOn, Feeder
from streams.log_pages import LogPages
from streams.metrics import ProjectorMetrics
from streams.patience import TRANSIENT, Patience
from streams.rebuild_check import check
from streams.rebuild_filling import Filling
from streams.stored_views import drop_generations
from streams.view_feeds import VIEWS

WINDOW_POSITIONS: Final = 10_000
# This close to the end of the log, the rest is a matter of one window.
EDGE_POSITIONS: Final = 1_000
ROUNDS_LIMIT_COUNT: Final = 100
# Whoever feeds a generation looks twice a second whether it is still wanted.
LETTING_GO_SECONDS: Final = 2.0


class RebuildStopped(Exception):
    """It cannot go on; the message says why and what to do. The live view is as it was."""


class Progress(Protocol):
    def begin(self, what: str, total: int) -> None: ...

    def advance(self, count: int = 1) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long it waits, and how much it looks at before the swap."""

    sample_streams_count: int = 500
    seed: int = 1
    swap_timeout_seconds: float = 60.0
    joining_timeout_seconds: float = 60.0
    nobody_feeds_seconds: float = 6.0
    poll_seconds: float = 0.02
    outage_limit_seconds: float = 60.0
    window_positions: int = WINDOW_POSITIONS


class Rebuild:
    """One view's; nobody else rebuilds it meanwhile. Every method raises RebuildStopped, and the stores' errors."""

    def __init__(
        self,
        view: ViewName,
        client: Redis,
        log: LogPages,
        streams: Streams,
        progress: Progress,
        stopping: Callable[[], bool],
        bounds: Bounds | None = None,
    ) -> None:
        self._name = view
        self._redis = client
        self._log = log
        self._streams = streams
        self._progress = progress
        self._stopping = stopping
        self._bounds = bounds or Bounds()
        self._generations = Generations(client)
        self._patience = Patience(view, lambda: None, outage_limit_seconds=self._bounds.outage_limit_seconds)

    async def run(self) -> bool:
        """True when the new generation is live; False when it was asked to stop before, and can go on another time."""
        keys = Keys.of(await self._begin())
        filling = self._filling(keys)
        try:
            return await self._run(keys, filling)
        except CheckpointLost as lost:
            raise RebuildStopped(f"{lost}. Start the rebuild again, when the live views are there again.") from lost
        except CannotGoOn as error:
            raise RebuildStopped(str(error)) from error
        except GenerationsChanged as changed:
            raise RebuildStopped(f"{changed}. Nothing was swapped.") from changed
        finally:
            await filling.close()

    async def back(self) -> None:
        """The generation that was kept is the live one again, and the other one is kept."""
        if (await self._generations.standing(self._name)).kept is None:
            raise RebuildStopped(f"There is no generation of {self._name!r} to go back to.")
        try:
            await self._swap("kept")
        except GenerationsChanged as changed:
            raise RebuildStopped(str(changed)) from changed
        standing = await self._generations.standing(self._name)
        self._say(f"generation {standing.live} is live again; generation {standing.kept} is kept.")

    async def drop_old(self) -> None:
        """All but the live generation, and the one that is being built, are removed."""
        await self._generations.forget_kept(self._name)
        await asyncio.sleep(LETTING_GO_SECONDS)
        standing = await self._generations.standing(self._name)
        spared = [standing.live] + ([standing.building] if standing.building else [])
        count = await drop_generations(self._redis, self._name, spared)
        self._say(f"generation {standing.live} is live; {count} keys of others were removed.")

    async def abandon(self) -> None:
        """What was being built is removed, and is begun anew the next time."""
        await self._generations.abandon(self._name)
        await asyncio.sleep(LETTING_GO_SECONDS)
        standing = await self._generations.standing(self._name)
        spared = [standing.live] + ([standing.kept] if standing.kept else [])
        count = await drop_generations(self._redis, self._name, spared)
        self._say(f"generation {standing.live} is live; {count} keys of an unfinished one were removed.")

    async def _begin(self) -> int:
        standing = await self._generations.standing(self._name)
        if standing.kept is not None:
            raise RebuildStopped(
                f"Generation {standing.kept} of {self._name!r} is still kept for a way back from generation "
                f"{standing.live}. Return to it (--back), or drop it (--drop-old), then rebuild."
            )
        number, is_new = await self._generations.begin(self._name)
        if is_new:
            self._say(f"generation {number} is built beside generation {standing.live}.")
        else:
            self._say(f"going on with generation {number}, which was begun before.")
            if standing.joined:  # it is checked while nobody else writes to it
                await self._generations.leave(self._name)
                await asyncio.sleep(LETTING_GO_SECONDS)
        return number

    async def _run(self, keys: Keys, filling: Filling) -> bool:
        if not await self._catch_up(filling):
            return False
        await self._check(keys)
        if not await self._catch_up(filling):
            return False
        await self._generations.join(self._name)
        if not await self._joined(filling):
            return False
        await self._swap("building")
        standing = await self._generations.standing(self._name)
        self._say(
            f"generation {standing.live} is live. Generation {standing.kept} is kept and kept up: "
            f"`counterfoil rebuild {self._name} --back` returns to it, `--drop-old` removes it."
        )
        return True

    async def _catch_up(self, filling: Filling) -> bool:
        """To the end of the log, as nearly as one window. False when asked to stop."""
        for _ in range(ROUNDS_LIMIT_COUNT):
            up_to = await self._log.last_position()
            position = await filling.open()
            if up_to - position > EDGE_POSITIONS:
                self._progress.begin(f"{self._name}: events", up_to - position)
            while not await self._patience.until_done(lambda up_to=up_to: self._fill(filling, up_to)):  # type: ignore[misc]
                pass
            if self._stopping():
                return False
            if up_to - position <= EDGE_POSITIONS:
                return True
        raise RebuildStopped(
            "The log grows faster than it can be read. Rebuild at a quieter time; it goes on from here."
        )

    async def _fill(self, filling: Filling, up_to: int) -> bool:
        """One go from the checkpoint on. False: the store was away for a moment, and some of the way was made."""
        began_at = position = await filling.open()
        try:
            async for place, events in self._log.windows(position, up_to, self._bounds.window_positions):
                await filling.apply(events, place)
                self._progress.advance(place - position)
                position = place
                if self._stopping():
                    break
            await filling.flush()
        except TRANSIENT:
            await filling.close()
            if filling.position > began_at:
                return False
            raise
        return True

    async def _check(self, keys: Keys) -> None:
        letters, live = RedisDeadLetters(self._redis, keys), await self._live_letters()
        set_aside = set(await letters.streams_set_aside(self._name))
        anew = set_aside - set(await live.streams_set_aside(self._name))
        if anew:
            raise RebuildStopped(
                f"{len(anew)} streams that the live view has could not be applied, {sorted(anew)[0]} for one. "
                "The reasons are logged above. Nothing was swapped."
            )
        view, bounds = VIEWS[self._name](keys), self._bounds
        checked = await check(view, self._redis, keys, self._log, set_aside, bounds.seed, bounds.sample_streams_count)
        self._say(
            f"checked at position {checked.position}: {checked.streams_count} streams (seed {checked.seed}) replayed "
            f"alone give {checked.digests[0]}, stored {checked.digests[1]}; sums of the log: "
            f"{_readable(checked.sums[0])}; stored: {_readable(checked.sums[1])}"
        )
        if not checked.is_right:
            raise RebuildStopped(
                f"What was built is not what the log says ({', '.join(checked.differing[:5]) or 'see the sums'}). "
                f"Nothing was swapped. `counterfoil rebuild {self._name} --abandon` removes it."
            )

    async def _joined(self, filling: Filling) -> bool:
        """Until the projector feeds it, too, and all that came before that is in it. False when asked to stop."""
        began_at, standing = time.monotonic(), await self._generations.standing(self._name)
        assert standing.building is not None, "it was begun"
        while not await self._generations.is_fed(self._name, standing.building):
            waited_seconds = time.monotonic() - began_at
            if waited_seconds > self._bounds.nobody_feeds_seconds and not await self._live_is_fed(standing):
                self._say("no projector is running; it will feed the new generation when it starts.")
                break
            if waited_seconds > self._bounds.joining_timeout_seconds:
                raise RebuildStopped("The projector does not take up the new generation. Nothing was swapped.")
            if not await self._catch_up(filling):
                return False
            await asyncio.sleep(self._bounds.poll_seconds)
        return await self._catch_up(filling)

    async def _live_is_fed(self, standing: Standing) -> bool:
        return await self._generations.is_fed(self._name, standing.live)

    async def _swap(self, role: Successor) -> None:
        """As soon as the successor holds all that the live one holds; the projector keeps both there."""
        until = time.monotonic() + self._bounds.swap_timeout_seconds
        while not await self._generations.swap(self._name, role):
            if time.monotonic() > until:
                raise RebuildStopped(
                    "The other generation does not catch up with the live one: is the projector running? "
                    "Nothing was swapped."
                )
            await asyncio.sleep(self._bounds.poll_seconds)

    async def _live_letters(self) -> RedisDeadLetters:
        standing = await self._generations.standing(self._name)
        return RedisDeadLetters(self._redis, Keys.of(standing.live))

    def _filling(self, keys: Keys) -> Filling:
        view: Any = VIEWS[self._name](keys)
        projection = ViewProjection(view, self._redis, self._streams, keys)
        metrics = ProjectorMetrics(CollectorRegistry())
        feeder = Feeder(projection, RedisDeadLetters(self._redis, keys), metrics, name=self._name)
        return Filling(view, self._redis, keys, feeder)

    def _say(self, text: str) -> None:
        self._progress.say(f"{self._name}: {text}")


def _readable(sums: object) -> str:
    assert isinstance(sums, dict), "sums by name"
    return ", ".join(f"{name} {number:,}" for name, number in sums.items())
