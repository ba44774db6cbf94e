"""Interrupted anywhere and started again, an import comes to what it would have come to."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from commandside.event_store.memory import MemoryEventStore
from commandside.payments.port import Payment, ProviderUnreachable
from counterfoil.imports.errors import ImportStopped
from counterfoil.imports.retail.invoices import InvoiceFile, read
from counterfoil.imports.retail.replay import replay
from counterfoil.imports.stopping import Stopping, never
from counterfoil.progress import Progress, shown_on
from counterfoil.settings import Settings
from domain.aggregates import Cart, Order, Product, StockItem
from domain.events import AnyEvent
from domain.events.cart import CartOpened
from domain.events.order import OrderSubmitted
from domain.events.product import ProductAdded
from domain.events.stock import StockOpened
from domain.values import Money
from tests.fakes.payments import FakePaymentProvider
from tests.integration.imports import retail_file

SALES_COUNT = 10
RUN_TIMEOUT_SECONDS = 30
Manner = Literal["killed before", "killed after", "cancelled", "asked to stop"]


@dataclass(frozen=True)
class Interruption:
    """At the so-many-th append or call of the provider: before it has its effect, after it, or while it goes on."""

    at_tick: int
    manner: Manner


@dataclass
class Ticks:
    """Counts appends and payments, and interrupts the run at one of them."""

    interruption: Interruption | None
    count: int = 0
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    asked: bool = False
    run: asyncio.Task[Any] | None = None

    async def around(self, effect: Callable[[], Any]) -> Any:
        if self.dead.is_set():
            await asyncio.Event().wait()
        self.count += 1
        due = self.interruption is not None and self.count == self.interruption.at_tick
        manner = self.interruption.manner if self.interruption is not None and due else None
        if manner == "killed before":
            await self._die()
        if manner == "asked to stop":
            self.asked = True
        if manner == "cancelled" and self.run is not None:
            self.run.cancel()
        result = await effect()
        if manner == "killed after":
            await self._die()
        return result

    async def _die(self) -> None:
        """Nothing this process does has any effect from now on."""
        self.dead.set()
        await asyncio.Event().wait()


class InterruptedStore(MemoryEventStore):
    ticks = Ticks(None)

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        appended = await self.ticks.around(lambda: super(InterruptedStore, self).append(events, work, reads))
        assert isinstance(appended, Sequence)
        return appended


class InterruptedProvider(FakePaymentProvider):
    ticks = Ticks(None)

    async def authorise(self, payment: Payment) -> Any:
        return await self.ticks.around(lambda: super(InterruptedProvider, self).authorise(payment))

    async def capture(self, payment: Payment, amount: Money) -> Any:
        return await self.ticks.around(lambda: super(InterruptedProvider, self).capture(payment, amount))

    async def cancel(self, payment: Payment) -> Any:
        return await self.ticks.around(lambda: super(InterruptedProvider, self).cancel(payment))

    async def refund(self, payment: Payment, refund_key: str, amount: Money) -> Any:
        return await self.ticks.around(lambda: super(InterruptedProvider, self).refund(payment, refund_key, amount))


@dataclass
class World:
    """What outlives the import's process: the log and the provider's books."""

    store: InterruptedStore = field(default_factory=InterruptedStore)
    provider: InterruptedProvider = field(default_factory=InterruptedProvider)

    def run(self, settings: Settings, file: InvoiceFile, interruption: Interruption | None = None) -> bool:
        """Whether it came to its end."""
        return asyncio.run(self._run(settings, file, interruption))

    async def _run(self, settings: Settings, file: InvoiceFile, interruption: Interruption | None) -> bool:
        ticks = self.store.ticks = self.provider.ticks = Ticks(interruption)
        with shown_on(Console(file=io.StringIO())) as progress:
            ticks.run = asyncio.create_task(
                replay(settings, self.store, self.provider, file, progress, lambda: ticks.asked)
            )
            death = asyncio.create_task(ticks.dead.wait())
            done, _ = await asyncio.wait(
                [ticks.run, death], timeout=RUN_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            assert done, "it hangs"
            death.cancel()
            if ticks.run not in done or ticks.run.cancelled():
                return False
            return ticks.run.result() is not None

    def comes_to(self) -> dict[str, Any]:
        """All that matters of it: no ids that depend on the order of the runs."""
        streams: dict[UUID, list[AnyEvent]] = {}
        for recorded in self.store.log():
            streams.setdefault(recorded.event.originator_id, []).append(recorded.event)
        found: dict[str, Any] = {"captured": self.provider.captured(), "refunded": self.provider.refunded()}
        assert self.provider.authorised() == {}
        for events in streams.values():
            assert [event.timestamp for event in events] == sorted(event.timestamp for event in events)
            match events[0]:
                case OrderSubmitted():
                    order = Order.replay(events)
                    history = [(change.status, change.at) for change in order.history]
                    # A cart's products go in together, in no order of their own.
                    lines = sorted(order.lines, key=lambda line: line.product_id)
                    found[f"order {order.id}"] = (
                        order.owner, lines, order.totals, history, order.returns, order.refunded,
                    )  # fmt: skip
                case CartOpened():
                    cart = Cart.replay(events)
                    assert cart.checkout_order_id is None
                    found[f"cart {cart.owner}"] = cart.lines
                case StockOpened():
                    item = StockItem.replay(events)
                    found[f"stock {item.sku}"] = (item.on_hand, item.reserved, item.committed)
                case ProductAdded():
                    product = Product.replay(events)
                    found[f"product {product.sku}"] = (product.details, product.price)
        return found


@lru_cache(maxsize=1)
def the_file(folder: Path) -> InvoiceFile:
    return read(retail_file.write(folder / "retail.csv", retail_file.made_up(SALES_COUNT, seed=93)))


@lru_cache(maxsize=1)
def uninterrupted(folder: Path) -> tuple[dict[str, Any], int]:
    world = World()
    assert world.run(settings(folder), the_file(folder))
    return world.comes_to(), world.store.ticks.count


@lru_cache(maxsize=1)
def settings(folder: Path) -> Settings:
    return Settings(var=folder / "var")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retail")


def test_the_file_has_what_is_to_be_interrupted(folder: Path) -> None:
    expected, ticks_count = uninterrupted(folder)
    orders = [found for name, found in expected.items() if name.startswith("order")]
    assert len(orders) == SALES_COUNT
    statuses = {status for _, _, _, history, _, _ in orders for status, _ in history}
    assert statuses >= {"placed", "cancelled", "delivered", "returned", "refunded"}
    assert expected["refunded"]
    assert ticks_count > 50


@pytest.mark.long
@pytest.mark.parametrize("manner", ["killed before", "killed after", "cancelled", "asked to stop"])
def test_interrupted_at_every_single_write_it_goes_on(folder: Path, manner: Manner) -> None:
    expected, ticks_count = uninterrupted(folder)
    for tick in range(1, ticks_count + 1):
        world = World()
        finished = world.run(settings(folder), the_file(folder), Interruption(tick, manner))
        assert not finished or manner == "asked to stop"
        assert world.run(settings(folder), the_file(folder))
        assert world.comes_to() == expected, f"{manner} at {tick}"


_interruptions = st.builds(
    Interruption,
    st.integers(1, 60),
    st.sampled_from(["killed before", "killed after", "cancelled", "asked to stop"]),
)


@given(interruptions=st.lists(_interruptions, max_size=8))
@example(interruptions=[Interruption(1, "killed after")] * 3)
def test_interrupted_however_often_it_goes_on(folder: Path, interruptions: list[Interruption]) -> None:
    world = World()
    for interruption in interruptions:
        world.run(settings(folder), the_file(folder), interruption)
    assert world.run(settings(folder), the_file(folder))
    assert world.comes_to() == uninterrupted(folder)[0]


class _Away(FakePaymentProvider):
    """Takes some payments, and is away then."""

    payments_left = 3

    async def authorise(self, payment: Payment) -> Any:
        if self.payments_left == 0:
            raise ProviderUnreachable("away")
        self.payments_left -= 1
        return await super().authorise(payment)


async def test_without_the_provider_it_stops_and_says_so_and_goes_on_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried = settings(folder).model_copy(update={"checkout_answer_within_seconds": 0.05})
    monkeypatch.setattr("counterfoil.imports.retail.selling.PAYMENT_ATTEMPTS_LIMIT_COUNT", 0)
    store, provider = MemoryEventStore(), _Away()

    async def run(progress: Progress, stopping: Stopping = never) -> None:
        assert await replay(hurried, store, provider, the_file(folder), progress, stopping) is not None

    with shown_on(Console(file=io.StringIO())) as progress:
        with pytest.raises(ImportStopped, match=r"gives no answer about invoice \d+\. .* run the same command"):
            await run(progress)
        monkeypatch.undo()
        provider.payments_left = 1_000
        await run(progress)

    found, _ = uninterrupted(folder)
    assert provider.captured() == found["captured"]
    orders = [Order.replay([each.event for each in await store.history(UUID(key))]) for key in provider.captured()]
    assert "payment_failed" not in {order.standing for order in orders}
