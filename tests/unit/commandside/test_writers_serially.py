"""Commands from two writers on one store, however they interleave, come to what some order of them comes to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from commandside.aggregates import Aggregates
from commandside.event_store import VersionConflict
from commandside.writer import Writer
from domain.aggregates import StockItem
from domain.errors import DomainError, NotFound
from domain.events import AnyEvent
from domain.identity import stock_stream
from tests.strategies import START, cause
from tests.unit.commandside.scripted_store import ScriptedStore

Kind = Literal["receive", "adjust", "reserve", "release", "commit", "fail"]


class Fault(Exception):
    """A decision's own, after it has triggered something."""


@dataclass(frozen=True)
class StockCommand:
    """`turns` is how long it waits before it is handed over; `name` is what its events say they were caused by."""

    kind: Kind
    sku: str
    quantity: int
    reservation_id: str
    writer_number: int
    turns: int
    name: str = ""

    def run(self, item: StockItem) -> None:
        by = replace(cause(), causation_id=self.name)
        match self.kind:
            case "receive":
                item.receive(self.quantity, by)
            case "adjust":
                item.adjust(-self.quantity, "count", by)
            case "reserve":
                item.reserve(self.reservation_id, self.quantity, START + timedelta(hours=1), by)
            case "release":
                item.release(self.reservation_id, by)
            case "commit":
                item.commit(self.reservation_id, by)
            case "fail":
                item.receive(self.quantity, by)
                raise Fault

    def __call__(self, aggregates: Aggregates) -> None:
        item = aggregates.find(StockItem, stock_stream(self.sku, "north"))
        if item is None:
            if self.kind != "receive":
                raise NotFound("stock", self.sku)
            item = StockItem.open(self.sku, "north", replace(cause(), causation_id=self.name))
            aggregates.add(item)
        self.run(item)

    def on(self, past: Sequence[AnyEvent]) -> list[AnyEvent]:
        """What it causes after this history, by itself. Raises what it is refused for."""
        if not past:
            if self.kind != "receive":
                raise NotFound("stock", self.sku)
            item = StockItem.open(self.sku, "north", replace(cause(), causation_id=self.name))
        else:
            item = StockItem.replay(list(past))
        self.run(item)
        return item.collect_events()


commands = st.builds(
    StockCommand,
    kind=st.sampled_from(["receive", "receive", "adjust", "reserve", "reserve", "release", "commit", "fail"]),
    sku=st.sampled_from(["lamp", "chair"]),
    quantity=st.integers(1, 6),
    reservation_id=st.sampled_from(["r1", "r2"]),
    writer_number=st.integers(0, 1),
    turns=st.integers(0, 6),
)
waves = st.lists(st.lists(commands, min_size=1, max_size=8), min_size=1, max_size=5)


@given(waves)
def test_any_interleaving_is_some_order(waves: list[list[StockCommand]]) -> None:
    asyncio.run(ensure_some_order(waves))


async def ensure_some_order(waves: list[list[StockCommand]]) -> None:
    store = ScriptedStore()
    writers = [Writer(store, cache_limit_aggregates=1) for _ in range(2)]
    for writer in writers:
        await writer.start()
    told: dict[str, list[AnyEvent]] = defaultdict(list)
    for n, drawn in enumerate(waves):
        wave = [replace(command, name=f"wave-{n}-{m}") for m, command in enumerate(drawn)]
        position = await store.last_position()
        outcomes = await asyncio.gather(*[hand_over(writers, command) for command in wave])
        news = [recorded.event for recorded in store.log(position)]
        refusals = {command.name: refusal for command, refusal in zip(wave, outcomes, strict=True) if refusal}
        assert {event.causation_id for event in news} == {c.name for c in wave if c.name not in refusals}
        by_name = {command.name: command for command in wave}
        ends = ensure_accepted_in_log_order(news, by_name, told)
        for name, refusal in refusals.items():
            ensure_refused_somewhere(by_name[name], refusal, told[by_name[name].sku], ends[by_name[name].sku])
        for sku, events in ends.items():
            told[sku] = events[-1]
    for writer in writers:
        await writer.stop()


async def hand_over(writers: list[Writer], command: StockCommand) -> Exception | None:
    for _ in range(command.turns):
        await asyncio.sleep(0)
    try:
        await writers[command.writer_number].execute(command)
    except (DomainError, Fault) as refusal:
        return refusal
    return None


def ensure_accepted_in_log_order(
    news: list[AnyEvent], by_name: dict[str, StockCommand], told: dict[str, list[AnyEvent]]
) -> dict[str, list[list[AnyEvent]]]:
    """Returns per SKU the histories that there were, one after each accepted command, the first before them all."""
    histories: dict[str, list[list[AnyEvent]]] = defaultdict(list)
    for sku in ("lamp", "chair"):
        histories[sku] = [list(told[sku])]
    for name in dict.fromkeys(event.causation_id for event in news):
        command = by_name[name]
        before = histories[command.sku][-1]
        caused = [event for event in news if event.causation_id == name]
        assert command.on(before) == caused
        histories[command.sku].append([*before, *caused])
    return histories


def ensure_refused_somewhere(
    command: StockCommand, refusal: Exception, before: list[AnyEvent], histories: list[list[AnyEvent]]
) -> None:
    assert histories[0] == before
    reasons = []
    for past in histories:
        try:
            command.on(past)
        except (DomainError, Fault) as reason:
            reasons.append((type(reason), str(reason)))
    assert (type(refusal), str(refusal)) in reasons


def test_the_checker_sees_an_event_too_many() -> None:
    command = StockCommand("receive", "lamp", 1, "r1", 0, 0, name="one")
    events = command.on([])
    twice = [*events, *replace(command, quantity=2).on(events)]
    try:
        ensure_accepted_in_log_order(twice, {"one": command}, defaultdict(list))
    except AssertionError:
        return
    raise AssertionError("not seen")


def test_a_conflict_is_no_answer() -> None:
    """What one writer lost to the other is for it to settle: no client is told."""
    assert not issubclass(VersionConflict, DomainError)
