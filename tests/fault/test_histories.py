"""Real servers, killed and cut off from each other as a seed says, while clients write down what they are told; then
all of it must be explained. COUNTERFOIL_TEST_SEED repeats a schedule.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from domain.events.stock import StockCommitted, StockReleased, StockReservationExpired
from tests.fault.asking import Told
from tests.fault.evidence import Evidence
from tests.fault.provider_books import Payment
from tests.fault.records import Purchase, Records, Request
from tests.fault.runs import evidence_of

SEED: Final = os.environ.get("COUNTERFOIL_TEST_SEED", "0")
SHORT_FAULTS_COUNT: Final = 6
LONG_RUNS_COUNT: Final = 20
LONG_FAULTS_COUNT: Final = 10


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Of one short run, whose reservations end before an interrupted checkout would be taken up."""
    return asyncio.run(gather(tmp_path_factory.mktemp("short"), 1, SHORT_FAULTS_COUNT, reservation_ttl_seconds=4))


def test_a_short_run_keeps_all_promises(evidence: Evidence) -> None:
    ensure_kept(evidence, faults_count=SHORT_FAULTS_COUNT)


@pytest.mark.long
@pytest.mark.timeout(1_800)
async def test_twenty_runs_with_two_hundred_faults_keep_all_promises(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("long")
    evidence = await gather(folder, LONG_RUNS_COUNT, LONG_FAULTS_COUNT, reservation_ttl_seconds=8)
    ensure_kept(evidence, faults_count=LONG_RUNS_COUNT * LONG_FAULTS_COUNT)
    assert LONG_RUNS_COUNT * LONG_FAULTS_COUNT >= 200
    assert len(evidence.faults) >= 20, "faults of nearly every kind"


async def gather(folder: Path, runs_count: int, faults_count: int, reservation_ttl_seconds: int) -> Evidence:
    print(f"COUNTERFOIL_TEST_SEED={SEED}, the parts' logs are in {folder}")  # pytest shows it when something fails
    return await evidence_of(
        folder,
        SEED,
        runs_count=runs_count,
        faults_count=faults_count,
        reservation_ttl_seconds=reservation_ttl_seconds,
    )


def ensure_kept(evidence: Evidence, faults_count: int) -> None:
    """And that there was something to be broken."""
    try:
        evidence.ensure_all_is_well()
    except AssertionError as error:
        error.add_note(f"COUNTERFOIL_TEST_SEED={SEED}: {dict(evidence.faults)}\n{dict(evidence.told())}")
        raise
    told = evidence.told()
    assert evidence.faults.total() == faults_count
    assert told["check out 201"] + told["check out 202"] >= 15 * len(evidence.runs)
    assert told["add 409 insufficient-stock"] + told["check out 409 insufficient-stock"] >= len(evidence.runs)
    assert any("unanswered" in said for said in told), "nobody was ever interrupted"
    assert not {"command-api", "provider"} & {part for part, count in evidence.ended_by_itself.items() if count}


# What is made up here must be found, or all of the above would prove nothing.


def a_placed(records: Records) -> Purchase:
    return next(one for one in records.purchases if one.outcome == "placed" and one.asked[-1].status == 201)


def with_purchase(evidence: Evidence, change: Callable[[Purchase], list[Purchase]]) -> Evidence:
    """Others in the place of one that was placed."""
    first, *others = evidence.runs
    placed = a_placed(first)
    purchases = [
        one for purchase in first.purchases for one in (change(purchase) if purchase is placed else [purchase])
    ]
    return replace(evidence, runs=[replace(first, purchases=purchases), *others])


def with_payment(evidence: Evidence, change: Callable[[Payment], list[Payment]]) -> Evidence:
    order_id = a_placed(evidence.runs[0]).order_id
    payments = [
        one for payment in evidence.payments for one in (change(payment) if payment.order_id == order_id else [payment])
    ]
    return replace(evidence, payments=payments)


def with_request(evidence: Evidence, change: Callable[[Request], Request]) -> Evidence:
    """After the last look at the first SKU."""
    first, *others = evidence.runs
    last = next(one for one in reversed(first.requests) if one.kind == "look" and one.sku == first.skus[0])
    return replace(evidence, runs=[replace(first, requests=[*first.requests, change(last)]), *others])


def refused_for_nothing(look: Request) -> Request:
    """With figures that all the receipts of which nobody was told cannot explain."""
    body = {"type": "/problems/insufficient-stock", "requested": 1_001, "available": 1_000}
    later = look.told.returned + 1
    return replace(look, kind="add", told=Told(later, later, 409, body))


def lost_receipt(look: Request) -> Request:
    state, later = look.told.body["state"], look.told.returned + 1
    body = {"on_hand": state["on_hand"] + 5, "reserved": 0, "available": state["on_hand"] + 5}
    return replace(look, kind="receive", quantity=5, told=Told(later, later, 200, body, look.told.version + 2))


def without_the_last_end_of_a_reservation(evidence: Evidence) -> Evidence:
    kinds = (StockCommitted, StockReleased, StockReservationExpired)
    last = max(n for n, one in enumerate(evidence.log) if isinstance(one.event, kinds))
    stream = evidence.log[last].event.originator_id
    kept = [one for n, one in enumerate(evidence.log) if n < last or one.event.originator_id != stream]
    return replace(evidence, log=kept)


def with_another_page(evidence: Evidence) -> Evidence:
    sku = evidence.runs[0].skus[0]
    return replace(evidence, shown={**evidence.shown, sku: int(evidence.shown[sku]) + 1})


def told_twice(purchase: Purchase) -> list[Told]:
    return [*purchase.asked, replace(purchase.asked[-1], status=402)]


TAMPERED: dict[str, Callable[[Evidence], Evidence]] = {
    "an order that the books do not have": lambda e: with_payment(e, lambda _: []),
    "an order charged twice": lambda e: with_payment(e, lambda payment: [payment, payment]),
    "an order charged a penny too much": lambda e: with_payment(e, lambda p: [replace(p, taken=p.taken + 1)]),
    "an order of which money was given back": lambda e: with_payment(e, lambda p: [replace(p, refunded=1)]),
    "money that is held still": lambda e: with_payment(e, lambda p: [replace(p, status="authorised")]),
    "money for nobody's order": lambda e: with_payment(e, lambda p: [p, replace(p, order_id="nobody's")]),
    "a sale that is not in the log": lambda e: with_purchase(e, lambda one: [one, replace(one, key="another")]),
    "a sale that nobody asked for": lambda e: with_purchase(e, lambda _: []),
    "a key without an answer": lambda e: with_purchase(e, lambda one: [replace(one, asked=[Told(0, 1)])]),
    "a key with two answers": lambda e: with_purchase(e, lambda one: [replace(one, asked=told_twice(one))]),
    "an answer that is a fault of ours": lambda e: with_request(
        e, lambda look: replace(look, told=replace(look.told, status=500))
    ),
    "a refusal with figures that never were": lambda e: with_request(e, refused_for_nothing),
    "a receipt that was lost": lambda e: with_request(e, lost_receipt),
    "a reservation without an end": without_the_last_end_of_a_reservation,
    "a page that shows something else": with_another_page,
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_made_up_is_found(evidence: Evidence, what: str) -> None:
    with pytest.raises(AssertionError):
        TAMPERED[what](evidence).ensure_all_is_well()


def test_a_history_that_cannot_be_explained_is_shown(evidence: Evidence) -> None:
    with pytest.raises(AssertionError, match=r"CANNOT COME NEXT") as found:
        with_request(evidence, refused_for_nothing).ensure_all_is_well()
    assert "Refused(" in str(found.value) and evidence.runs[0].skus[0] in str(found.value)
