"""One run: a scenario, from the opening of the shop until nothing is left to do after the last fault."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from contextvars import Context
from functools import partial
from random import Random
from typing import Any, Final

from commandside.event_store import StoreUnavailable
from commandside.payments.webhook import WebhookEvent
from counterfoil.simulation.books import Books
from counterfoil.simulation.courier import Courier
from counterfoil.simulation.dice import Part, dice_of
from counterfoil.simulation.faults import ANY_PROCESS, Adversity, Fault
from counterfoil.simulation.history import History
from counterfoil.simulation.log import SimulatedLog
from counterfoil.simulation.loop import Endless, Stalled, VirtualLoop
from counterfoil.simulation.operator import Operator, open_shop
from counterfoil.simulation.process import RECEIPT_TTL_SECONDS, TTL_SECONDS, CommandProcess, make_task
from counterfoil.simulation.projector import Projector
from counterfoil.simulation.read_models import ReadModels, replayed
from counterfoil.simulation.read_side import ByBus, ReadSide
from counterfoil.simulation.scenario import Scenario
from counterfoil.simulation.shop import Shop
from counterfoil.simulation.shopper import Shopper
from counterfoil.simulation.sources import under_the_seed
from counterfoil.simulation.world import PROCESSES_COUNT, World

# After the last fault every checkout has come to its end within this time, by what its process took for the time.
ENDS_WITHIN_SECONDS: Final = TTL_SECONDS + 60.0
LONGEST_RESTART_SECONDS: Final = 8.0


def run(scenario: Scenario) -> History:
    """The same scenario gives the same history, byte for byte."""
    dice = dice_of(scenario.seed, Part.WAYS)
    loop = VirtualLoop(dice_of(scenario.seed, Part.ORDER) if scenario.shuffled else None)
    loop.set_task_factory(make_task)  # type: ignore[arg-type]
    history = History(scenario.seed)
    unheard: list[str] = []
    loop.set_exception_handler(lambda _, context: unheard.append(_said(context)))
    gc.disable()  # when it runs is nothing that a seed would know
    try:
        with under_the_seed(loop, dice_of(scenario.seed, Part.SOURCES)) as lines:
            try:
                loop.run_until_complete(_Run(loop, scenario, dice, history).live())
            except Exception as error:  # a run that breaks off is a finding like any other
                history.faults_of_ours.append(f"the run broke off: {error!r}")
            _clear_away(loop)
        history.faults_of_ours += [*lines.faults, *unheard]
    finally:
        gc.enable()
        loop.close()
    return history


class _Run:
    def __init__(self, loop: VirtualLoop, scenario: Scenario, dice: Random, history: History) -> None:
        self._scenario = scenario
        self._history = history
        self._world = World(loop, SimulatedLog(clock=loop.time), Adversity(scenario.faults), dice)
        self._books = Books(self._world, self._tell)
        self._processes = [CommandProcess(self._world, self._books, n) for n in range(PROCESSES_COUNT)]
        self._courier = Courier(self._world, self._processes)
        self._models = ReadModels(self._world.log)
        fed_by: type[ByBus | Projector] = ByBus if scenario.by_bus else Projector
        self._read_side: ReadSide = fed_by(self._world, self._models)
        self._shop = Shop(self._world, self._processes, self._models, history)
        self._latest_offset_seconds = 0.0
        self._away_until_seconds = 0.0
        self._is_over = False

    async def live(self) -> None:
        world, scenario = self._world, self._scenario
        for process in self._processes:
            process.on_crash = self._restart_later
            await process.start()
        projecting = self._apart(self._read_side.run())
        operators = [person for person in scenario.people if person.owner == "operator"]
        shoppers = [person for person in scenario.people if person.owner != "operator"]
        await open_shop(self._shop, scenario.stock)
        going_wrong = self._apart(self._go_wrong())
        living = [Operator(self._shop, person).live() for person in operators]
        living += [Shopper(self._shop, person, device).live() for device, person in enumerate(shoppers)]
        await asyncio.gather(*living)
        await going_wrong
        last_seconds = max(self._away_until_seconds, world.dark_until_seconds)
        await world.later(max(0.0, last_seconds - world.now_seconds), lambda: None)
        self._end_faults()
        await self._wait_for_the_end()
        await self._shop.ask_every_key_again()
        if scenario.asks_when_expired:  # what bought is told so, what was refused begins anew
            world.outages.note_jump(RECEIPT_TTL_SECONDS)
            world.loop.jump(RECEIPT_TTL_SECONDS)
            await self._shop.ask_every_key_again()
            await self._wait_for_the_end()
        await self._read_side.finish()
        projecting.cancel()
        self._is_over = True
        self._tell_all()
        for process in self._processes:
            process.on_crash = None
            process.crash()
        await world.later(0.0, lambda: None)

    async def _go_wrong(self) -> None:
        for fault in self._world.adversity.timed:
            await self._world.later(max(0.0, fault.at_seconds - self._world.now_seconds), lambda: None)
            self._world.adversity.note(self._world.now_seconds, fault)
            self._befall(fault)

    def _befall(self, fault: Fault) -> None:
        world = self._world
        if fault.kind in ("store_away", "provider_away"):
            self._away_until_seconds = max(self._away_until_seconds, world.now_seconds + fault.seconds)
        hit = [one for one in self._processes if fault.process in (ANY_PROCESS, one.number)]
        match fault.kind:
            case "store_away":
                for process in hit:
                    process.cut_off(log=True)
                    world.loop.call_later(fault.seconds, partial(process.cut_off, log=False))
            case "provider_away":
                world.outages.note_provider_away(fault.seconds)
                for process in hit:
                    process.cut_off(provider=True)
                    world.loop.call_later(fault.seconds, partial(process.cut_off, provider=False))
            case "clock_off":
                for process in hit:
                    world.offsets_seconds[process.number] = fault.seconds
                self._latest_offset_seconds = max(self._latest_offset_seconds, fault.seconds)
            case "time_jump":
                world.outages.note_jump(fault.seconds)
                world.loop.jump(fault.seconds)
            case "restart":
                for process in hit:
                    self._apart(self._restart(process))
            case _:
                self._read_side.befall(fault.kind, fault.seconds)

    def _end_faults(self) -> None:
        self._world.adversity.end()
        self._world.dark_until_seconds = 0.0
        self._world.offsets_seconds[:] = [0.0] * PROCESSES_COUNT
        for process in self._processes:
            process.cut_off(log=False, provider=False)

    async def _wait_for_the_end(self) -> None:
        """Until there is nothing left to do, or there is no time left to do it in: then the checker finds what is."""
        world = self._world
        until = world.now_seconds + ENDS_WITHIN_SECONDS + self._latest_offset_seconds
        while world.now_seconds < until:
            await world.later(10.0, lambda: None)
            is_quiet = world.log.is_idle and not self._books.under_way_count and not self._courier.under_way_count
            if is_quiet and all(process.is_up for process in self._processes):
                return

    def _restart_later(self, process: CommandProcess) -> None:
        seconds = 0.2 + self._world.dice.random() * LONGEST_RESTART_SECONDS
        self._world.loop.call_later(seconds, lambda: self._apart(self._start(process)), context=Context())

    async def _start(self, process: CommandProcess) -> None:
        while not process.is_up and not self._is_over:
            try:
                await process.start()
            except StoreUnavailable:  # a supervisor starts it again
                await self._world.later(1.0, lambda: None)

    async def _restart(self, process: CommandProcess) -> None:
        if process.is_up:
            await process.stop()
            await self._start(process)

    def _apart(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Of no process: it dies with none."""
        return self._world.loop.create_task(work, context=Context())

    def _tell(self, event: WebhookEvent) -> None:
        self._courier.tell(event)

    def _tell_all(self) -> None:
        history, world = self._history, self._world
        events = (event for _, event in world.log.read_on(0, len(world.log.rows)))
        history.replayed_views = replayed(world.log, events).to_json()
        history.views = self._models.to_json()
        history.rows, history.committed_at_seconds = world.log.rows, world.log.committed_at_seconds
        history.books = self._books.entries
        history.clock_error_seconds = self._latest_offset_seconds
        history.store_outages, history.provider_outages = world.outages.of_store, world.outages.of_provider
        history.webhooks = self._courier.taken
        history.occasions_count = world.adversity.occasions_count
        history.happened = world.adversity.happened
        history.faults_of_ours += [*self._courier.faults, *self._read_side.faults]
        history.crashes_count = sum(process.crashes_count for process in self._processes)
        history.commands_count = len(history.asked) + len(self._courier.taken)
        history.seconds = world.now_seconds


def _clear_away(loop: VirtualLoop) -> None:
    """Nobody is left waiting on a loop that is closed."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    with suppress(Stalled, Endless):
        loop.run_until_complete(_gone(left))


async def _gone(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _said(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
