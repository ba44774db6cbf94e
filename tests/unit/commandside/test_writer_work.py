"""Checkouts with something left to do are kept with the very append that leaves it."""

from __future__ import annotations

from uuid import UUID

from commandside.aggregates import Aggregates
from commandside.writer import Writer
from domain.aggregates import Checkout
from domain.identity import checkout_stream
from domain.values import Item, Money, StockClaim
from tests.strategies import START, cause
from tests.unit.commandside.decisions import LATER
from tests.unit.commandside.scripted_store import ScriptedStore
from tests.unit.commandside.together import together

ORDER_ID = UUID(int=1)


def start_checkout(aggregates: Aggregates) -> None:
    assert aggregates.find(Checkout, checkout_stream(ORDER_ID)) is None
    aggregates.add(
        Checkout.start(
            ORDER_ID,
            "customer:ada",
            (Item("lamp", 1),),
            (StockClaim("lamp", "north", 1),),
            Money(100, "GBP"),
            "tok_ok",
            UUID(int=2),
            resume_after=START,
            expires_at=LATER,
            cause=cause(),
        )
    )


def complete_checkout(aggregates: Aggregates) -> None:
    checkout = aggregates.find(Checkout, checkout_stream(ORDER_ID))
    assert checkout is not None
    checkout.complete("pay-1", None, cause())


def spoil_checkout(aggregates: Aggregates) -> None:
    complete_checkout(aggregates)
    raise ZeroDivisionError("poison")


async def test_work_is_kept_with_the_append_that_makes_it(store: ScriptedStore, writer: Writer) -> None:
    await writer.execute(start_checkout)
    assert await store.due_work(LATER, 10) == [checkout_stream(ORDER_ID)]

    await writer.execute(complete_checkout)
    assert await store.due_work(LATER, 10) == []


async def test_work_is_what_the_decisions_that_stand_made_of_it(store: ScriptedStore, writer: Writer) -> None:
    outcomes = await together(writer, start_checkout, spoil_checkout)

    assert outcomes[0] is None
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert await store.due_work(LATER, 10) == [checkout_stream(ORDER_ID)]


async def test_a_checkout_begun_and_ended_in_one_batch_is_no_work(store: ScriptedStore, writer: Writer) -> None:
    await together(writer, start_checkout, complete_checkout)
    assert len(store.appends) == 1
    assert await store.due_work(LATER, 10) == []
