"""Read your own writes: `Min-Position` and `Min-Version` wait until the view holds what a command answered with."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Header
from starlette.requests import Request

from queryside.errors import InvalidQuery
from queryside.views import VersionOf, ViewName, Views
from queryside.waiting import Waiting

LARGEST_NUMBER = 2**63 - 1
_NUMBER = re.compile(r"^[0-9]{1,19}$", re.ASCII)

PositionSource = Callable[[], Awaitable[int]]
_MEANINGS = {
    "Min-Position": "The `Counterfoil-Position` of a command: the answer holds at least that.",
    "Min-Version": "The answer has at least this version.",
}
MinPosition = Annotated[
    str | None, Header(alias="Min-Position", description=_MEANINGS["Min-Position"], pattern=_NUMBER.pattern)
]
MinVersion = Annotated[
    str | None, Header(alias="Min-Version", description=_MEANINGS["Min-Version"], pattern=_NUMBER.pattern)
]


class Freshness:
    """Waits for views to catch up. `others` tell the positions of projections that are kept elsewhere, by name.

    Its methods raise NotThereInTime after `timeout_seconds`, TooManyWaiting, and what the sources raise.
    """

    def __init__(self, views: Views, others: Mapping[str, PositionSource], *, timeout_seconds: float) -> None:
        self._views = views
        self._positions: Waiting[tuple[ViewName, ...]] = Waiting(self._least, timeout_seconds=timeout_seconds)
        self._versions: Waiting[VersionOf] = Waiting(views.versions, timeout_seconds=timeout_seconds)
        self._others = {
            name: Waiting(_single(source), timeout_seconds=timeout_seconds) for name, source in others.items()
        }

    async def position(self, views: tuple[ViewName, ...], at_least: int) -> None:
        """Returns when all of these views hold the position."""
        await self._positions.until(views, at_least)

    async def position_elsewhere(self, projection: str, at_least: int) -> None:
        await self._others[projection].until(projection, at_least)

    async def version(self, stream: VersionOf, at_least: int) -> None:
        await self._versions.until(stream, at_least)

    async def aclose(self) -> None:
        """Nothing is read any more when this returns; to be called when nobody asks any more."""
        await self._positions.aclose()
        await self._versions.aclose()
        for waiting in self._others.values():
            await waiting.aclose()

    async def _least(self, wanted: Sequence[tuple[ViewName, ...]]) -> list[int]:
        names = list(dict.fromkeys(name for views in wanted for name in views))
        positions = dict(zip(names, await self._views.positions(names), strict=True))
        return [min(positions[name] for name in views) for views in wanted]


def fresh_views(*views: ViewName) -> Callable[[Request, MinPosition], Awaitable[None]]:
    """A dependency: waits for these views when the caller sent Min-Position."""

    async def wait(request: Request, min_position: MinPosition = None) -> None:
        if (position := number_in(request, "Min-Position")) is not None:
            await freshness_of(request).position(views, position)

    return wait


def fresh(projection: str) -> Callable[[Request, MinPosition], Awaitable[None]]:
    """A dependency: waits for a projection that is kept elsewhere, such as "search"."""

    async def wait(request: Request, min_position: MinPosition = None) -> None:
        if (position := number_in(request, "Min-Position")) is not None:
            await freshness_of(request).position_elsewhere(projection, position)

    return wait


async def wait_for_version(request: Request, stream: VersionOf) -> None:
    """Waits for the stream's view when the caller sent Min-Version."""
    if (version := number_in(request, "Min-Version")) is not None:
        await freshness_of(request).version(stream, version)


def number_in(request: Request, header: str) -> int | None:
    """The header's number, None without one. Raises InvalidQuery."""
    values = request.headers.getlist(header)
    if not values:
        return None
    if len(values) > 1 or _NUMBER.fullmatch(values[0]) is None or int(values[0]) > LARGEST_NUMBER:
        raise InvalidQuery(header, f"must be one whole number, 0 to {LARGEST_NUMBER}")
    return int(values[0])


def documented_header(name: str) -> dict[str, Any]:
    """For the OpenAPI page of a route that reads the header itself."""
    schema = {"type": "string", "pattern": _NUMBER.pattern}
    return {"name": name, "in": "header", "required": False, "description": _MEANINGS[name], "schema": schema}


def freshness_of(request: Request) -> Freshness:
    freshness: Freshness = request.app.state.freshness
    return freshness


def _single(source: PositionSource) -> Callable[[Sequence[str]], Awaitable[list[int]]]:
    async def read(names: Sequence[str]) -> list[int]:
        return [await source()] * len(names)

    return read
