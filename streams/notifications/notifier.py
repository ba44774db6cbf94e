"""The ports: who delivers a letter, and where a customer's letters go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """`key` names it: whoever is sent two letters of one key has the same one twice. Plain text."""

    key: str
    to: str
    subject: str
    body: str
    written_at: datetime


class NotTaken(Exception):
    """Not this letter, and not now: try it again later."""


class Refused(Exception):
    """Not this letter, whenever it is tried."""


class ServerAway(Exception):
    """No letter at all, for now: nobody is there, or nobody who lets us in."""


class Notifier(Protocol):
    async def send(self, letter: Letter) -> None:
        """Returns when somebody else has taken charge of it. Raises NotTaken, Refused, ServerAway."""


class CustomerDirectory(Protocol):
    async def address_of(self, owner: str) -> str | None:
        """Of "customer:<id>" or "guest:<session id>"; None for somebody who is not to be written to."""
        ...
