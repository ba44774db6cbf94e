from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from queryside.errors import InvalidQuery


def only(*names: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency: any other query parameter, and any given twice, is refused with InvalidQuery."""

    async def check(request: Request) -> None:
        refuse_others(request, names)

    return check


def refuse_others(request: Request, names: tuple[str, ...] = ()) -> None:
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in names:
            raise InvalidQuery(name[:100], "there is no such query parameter")
        if name in seen:
            raise InvalidQuery(name, "was given more than once")
        seen.add(name)
