"""A command process: the real write side on a connection of its own, which a crash ends between two steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar
from datetime import timedelta
from typing import Any, Final

from commandside.handlers.context import Shop
from commandside.payments.guarded import GuardedProvider
from commandside.saga.starting import Terms
from commandside.write_side import WriteSide
from counterfoil.simulation.books import Books
from counterfoil.simulation.connection import LogConnection
from counterfoil.simulation.metrics import SilentMetrics
from counterfoil.simulation.provider import ProviderConnection
from counterfoil.simulation.world import World
from domain.pricing import ShippingMethod, Tariff

TTL_SECONDS: Final = 600.0
RECEIPT_TTL_SECONDS: Final = 86_400.0
ANSWER_WITHIN_SECONDS: Final = 10.0
STOPS_WITHIN_SECONDS: Final = 5.0
CURRENCY: Final = "GBP"
TARIFF: Final = Tariff(
    {"standard": ShippingMethod("standard", 499, 3), "express": ShippingMethod("express", 999, 1)}, "standard", 2_000
)
SHOP: Final = Shop(CURRENCY, TARIFF)
TERMS: Final = Terms(
    reservation_ttl=timedelta(seconds=TTL_SECONDS),
    resume_grace=timedelta(seconds=ANSWER_WITHIN_SECONDS + 2),
    receipt_ttl=timedelta(seconds=RECEIPT_TTL_SECONDS),
)
_SILENT: Final = SilentMetrics()
_process_of_task: ContextVar[CommandProcess | None] = ContextVar("process", default=None)
Serve = Callable[[WriteSide], Awaitable[Any]]


class CommandProcess:
    """Everything that runs in it dies with it; a request that it was at is never answered."""

    def __init__(self, world: World, books: Books, number: int) -> None:
        self.number = number
        self.crashes_count = 0
        self.on_crash: Callable[[CommandProcess], None] | None = None
        self._world = world
        self._books = books
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in the order in which they began
        self._replies: dict[asyncio.Future[Any], None] = {}
        self._write_side: WriteSide | None = None
        self._log: LogConnection | None = None
        self._provider: ProviderConnection | None = None
        self._is_log_away = self._is_provider_away = False

    @property
    def is_up(self) -> bool:
        return self._write_side is not None

    async def start(self) -> None:
        """A new process: it remembers nothing."""
        assert not self.is_up
        world, number = self._world, self.number
        self._log = LogConnection(world, number, self.crash)
        self._provider = ProviderConnection(world, self._books, number, self.crash)
        self.cut_off()
        write_side = WriteSide(
            self._log,
            GuardedProvider(self._provider),
            SHOP,
            TERMS,
            lambda: world.wall_clock(number),
            answer_within_seconds=ANSWER_WITHIN_SECONDS,
            metrics=_SILENT,
        )
        await self._inside(write_side.start())
        self._write_side = write_side
        self._note_at_work()

    def crash(self) -> None:
        """As by SIGKILL. What it has sent arrives, what comes for it does not."""
        self.crashes_count += 1
        self._end()
        if self.on_crash is not None:
            self.on_crash(self)

    async def stop(self) -> None:
        """As by SIGTERM: who is being served is served first, within a bound."""
        write_side, self._write_side = self._write_side, None
        self._note_at_work()
        if write_side is not None:
            write_side.saga.hurry()
            await asyncio.sleep(STOPS_WITHIN_SECONDS)
            await self._inside(write_side.stop())
            self._end()

    async def serve(self, serve: Serve) -> Any:
        """What `serve` returns; None when nobody answers: the process is down, or dies over it."""
        write_side = self._write_side
        if write_side is None:
            return None
        reply: asyncio.Future[Any] = self._world.loop.create_future()
        self._replies[reply] = None
        self._inside(_answer(serve, write_side, reply))
        try:
            return await reply
        except asyncio.CancelledError:
            if reply.cancelled():
                return None
            raise
        finally:
            self._replies.pop(reply, None)

    def cut_off(self, *, log: bool | None = None, provider: bool | None = None) -> None:
        """Whether the way to the log, or to the provider, is interrupted; None: as it was."""
        self._is_log_away = self._is_log_away if log is None else log
        self._is_provider_away = self._is_provider_away if provider is None else provider
        if self._log is not None and self._provider is not None:
            self._log.is_away, self._provider.is_away = self._is_log_away, self._is_provider_away
        self._note_at_work()

    def _note_at_work(self) -> None:
        self._world.outages.note_at_work(self.number, self.is_up and not self._is_log_away)

    def _end(self) -> None:
        self._write_side = None
        self._note_at_work()
        for task in list(self._tasks):
            task.cancel()
        self._tasks.clear()
        for reply in self._replies:
            reply.cancel()
        self._replies.clear()

    def _inside(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        token = _process_of_task.set(self)
        try:
            return self._world.loop.create_task(work)
        finally:
            _process_of_task.reset(token)

    def take(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)


def make_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], *, context: Context | None = None
) -> asyncio.Task[Any]:
    """The loop's task factory: what a process begins, and what that begins, is the process's."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    process = _process_of_task.get() if context is None else context.get(_process_of_task)
    if process is not None:
        process.take(task)
    return task


async def _answer(serve: Serve, write_side: WriteSide, reply: asyncio.Future[Any]) -> None:
    answer = await serve(write_side)
    if not reply.done():
        reply.set_result(answer)
