"""Clients that write down what they asked, when, and what they were told; that there was no answer, too."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

from tests.e2e.running_shop import bearer

ANSWER_TIMEOUT_SECONDS: Final = 8
CONNECTIONS_LIMIT_COUNT: Final = 256


@dataclass(frozen=True, slots=True)
class Told:
    """`status` is 0 where no (whole) answer came. The times are of the monotonic clock, in seconds."""

    called: float
    returned: float
    status: int = 0
    body: Any = None
    version: int = 0
    replayed: bool = False

    @property
    def problem(self) -> str:
        """The type of what was refused: `insufficient-stock`."""
        refused = self.status >= 400 and isinstance(self.body, dict)
        return str(self.body.get("type", "")).removeprefix("/problems/") if refused else ""

    @property
    def is_known(self) -> bool:
        """Whether its client knows now what was done, or that nothing was."""
        return 200 <= self.status < 500 and self.problem != "in-progress"

    def __str__(self) -> str:
        if not self.status:
            return "no answer"
        figures = ("on_hand", "reserved", "available", "requested", "status", "reason")
        body = self.body.get("state", self.body) if isinstance(self.body, dict) else {}
        said = " ".join(f"{name}={body[name]}" for name in figures if name in body)
        return f"{self.status} {self.problem} {said}".replace("  ", " ")


class Door:
    """HTTP to one address, by as many people as like."""

    def __init__(self, url: str, *, answer_timeout_seconds: float = ANSWER_TIMEOUT_SECONDS) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=answer_timeout_seconds),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_LIMIT_COUNT),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def ask(self, who: Person, method: str, path: str, body: Any = None, **headers: str) -> Told:
        named = who.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            named["Content-Type"] = "application/json"
        called = time.monotonic()
        try:
            async with self._session.request(method, self._url + path, data=content, headers=named) as answer:
                told = msgspec.json.decode(await answer.read())
                version = answer.headers.get("ETag", "").strip('"')
                replayed = answer.headers.get("Idempotent-Replayed") == "true"
                return Told(called, time.monotonic(), answer.status, told, _number(version), replayed)
        except (TimeoutError, aiohttp.ClientError):
            return Told(called, time.monotonic())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()


def _number(etag: str) -> int:
    """A stream's version; a page's is something else."""
    return int(etag) if etag.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    headers: dict[str, str]


def person(name: str, *roles: str) -> Person:
    """Somebody who is signed in."""
    return Person(name, bearer(name, *roles))
