from __future__ import annotations

from typing import Protocol

from starlette.requests import Request


class Caller(Protocol):
    """Who asks, as the process that serves this API found out. `owner` is None for a guest who has written nothing."""

    @property
    def owner(self) -> str | None: ...

    @property
    def roles(self) -> frozenset[str]: ...


def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller
