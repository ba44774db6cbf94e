from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from starlette.requests import Request

from queryside.errors import InvalidQuery


class Parameters(BaseModel):
    """The query parameters of a route. One without a value, as a form sends what is not filled in, counts as absent."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_empty_ones(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        filled = {
            name: [item for item in value if item != ""] if isinstance(value, list) else value
            for name, value in given.items()
        }
        # An unknown one is refused all the same.
        return {name: value for name, value in filled.items() if value not in ("", []) or name not in cls.model_fields}


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
