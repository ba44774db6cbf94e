"""The shop as its clients see it: two processes behind one address, pages that are a little old, and a record of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from counterfoil.simulation.desk import Reply, Request, serve
from counterfoil.simulation.history import Asked, History
from counterfoil.simulation.process import CommandProcess
from counterfoil.simulation.read_models import ReadModels
from counterfoil.simulation.world import World

ATTEMPTS_LIMIT_COUNT: Final = 8
IN_PROGRESS: Final = "/problems/in-progress"


class Shop:
    def __init__(self, world: World, processes: Sequence[CommandProcess], models: ReadModels, history: History) -> None:
        self.world = world
        self.views = models.views
        self.orders = models.orders
        self._processes = processes
        self._history = history

    async def ask(self, kind: str, owner: str, fields: Mapping[str, Any], order_id: UUID | None = None) -> Reply | None:
        """None: nobody answered."""
        world, history = self.world, self._history
        process = self._processes[world.dice.randrange(len(self._processes))]
        request = Request(f"r{len(history.asked) + 1}", kind, owner, fields, order_id)
        asked = Asked(request, process.number, world.now_seconds)
        history.asked.append(asked)
        reply: Reply | None = await process.serve(partial(serve, request=request))
        asked.reply, asked.answered_at_seconds, asked.log_length_rows = reply, world.now_seconds, len(world.log.rows)
        return reply

    async def ask_every_key_again(self) -> None:
        """Each checkout that was answered once more, when all is over: the answer is what it was."""
        answered: dict[tuple[str, str], Mapping[str, Any]] = {}
        for asked in self._history.asked:
            request, reply = asked.request, asked.reply
            if request.kind == "check_out" and reply is not None and reply.status != 422 and not _is_too_early(reply):
                answered.setdefault((request.owner, request.fields["idempotency_key"]), request.fields)
        for (owner, _), fields in answered.items():
            await self.ask("check_out", owner, fields, self.world.new_id())

    async def insist(self, kind: str, owner: str, fields: Mapping[str, Any]) -> Reply | None:
        """Asks again while nobody answers, or it is too early. Only for what may be asked twice."""
        world = self.world
        pause_seconds = 0.5
        reply = None
        for _ in range(ATTEMPTS_LIMIT_COUNT):
            order_id = world.new_id() if kind == "check_out" else None
            reply = await self.ask(kind, owner, fields, order_id)
            if reply is not None and not _is_too_early(reply):
                break
            await world.later(pause_seconds * (0.5 + world.dice.random()), lambda: None)
            pause_seconds *= 2
        return reply


def _is_too_early(reply: Reply) -> bool:
    return reply.status == 503 or reply.body.get("type") == IN_PROGRESS
