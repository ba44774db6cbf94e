"""The checker alone: a history that is right, and the same one with a single thing wrong in it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from counterfoil.simulation.checker import violations
from counterfoil.simulation.desk import Reply
from counterfoil.simulation.history import Asked, History
from counterfoil.simulation.run import run
from counterfoil.simulation.scenario import draw


@lru_cache(maxsize=1)
def right() -> History:
    return run(draw(3, shoppers_count=30, faults_count=10))


@pytest.fixture
def history() -> History:
    """One of its own for each test."""
    known = right()
    asked = [copy.copy(one) for one in known.asked]
    views = {name: dict(held) for name, held in known.views.items()}
    books = [dict(entry) for entry in known.books]
    committed = list(known.committed_at_seconds)
    return replace(
        known,
        asked=asked,
        rows=list(known.rows),
        committed_at_seconds=committed,
        books=books,
        views=views,
        faults_of_ours=[],
    )


def test_a_history_that_is_right(history: History) -> None:
    assert violations(history) == []
    kinds = {row[3] for row in history.rows}
    assert {"order.placed.v2", "order.payment_failed.v1", "cart.merged.v1", "order.refunded.v1"} <= kinds
    assert {"checkout.expired.v1", "checkout.payment_captured.v1"} <= kinds
    assert {"allowance.taken.v1", "allowance.given_back.v1", "receipt.reopened.v1"} <= kinds


def test_an_event_that_is_missing(history: History) -> None:
    del history.rows[_place(history, "order.placed.v2")]
    assert _says(history, "its checkout is completed")


def test_an_event_that_is_there_twice(history: History) -> None:
    place = _place(history, "stock.committed.v1")
    history.rows.insert(place, history.rows[place])
    assert _says(history, "of what is not held") and _says(history, "after")


def test_more_sold_than_came_in(history: History) -> None:
    _change(history, "stock.received.v1", quantity=0)
    assert _says(history, "oversold")


def test_another_price(history: History) -> None:
    for place, row in enumerate(history.rows):
        if row[3] == "product.added.v1":
            state = msgspec.json.decode(row[4])
            state["price"]["amount"] += 1
            history.rows[place] = (*row[:4], msgspec.json.encode(state))
    assert _says(history, "by the catalogue")


def test_a_second_capture(history: History) -> None:
    history.books.append(_entry(history, "captured"))
    assert _says(history, "captured 2 times")


def test_a_capture_of_more_than_the_total(history: History) -> None:
    _entry(history, "captured")["amount"] += 1
    assert _says(history, "captured by the books") and _says(history, "stays held")


def test_a_payment_without_an_order(history: History) -> None:
    history.books.append({**_entry(history, "authorised"), "order_id": "nobody's"})
    assert _says(history, "a payment without an order")


def test_a_capture_before_the_order_was_placed(history: History) -> None:
    _entry(history, "captured")["at_seconds"] = 0.0
    assert _says(history, "before the order was placed")


def test_a_capture_without_a_placed_order(history: History) -> None:
    failed = next(str(row[1]) for row in history.rows if row[3] == "order.payment_failed.v1")
    history.books += [{**entry, "order_id": failed} for entry in history.books[:2]]
    assert _says(history, "and the order was never placed")


def test_an_authorisation_that_stays(history: History) -> None:
    history.books[:] = [entry for entry in history.books if entry["kind"] != "released"]
    assert _says(history, "stays held for ever")


def test_a_refund_that_was_not_made(history: History) -> None:
    history.books[:] = [entry for entry in history.books if entry["kind"] != "refunded"]
    assert _says(history, "was kept, and 0 is due")


def test_a_capture_that_the_log_does_not_have(history: History) -> None:
    del history.rows[_place(history, "checkout.payment_captured.v1")]
    assert _says(history, "captured by the books")


def test_a_checkout_that_ended_too_late(history: History) -> None:
    place = _place(history, "checkout.expired.v1")
    row = history.rows[place]
    late = msgspec.json.encode({**msgspec.json.decode(row[4]), "timestamp": "2026-03-04T08:00:00+00:00"})
    history.rows[place] = (*row[:4], late)
    history.committed_at_seconds[place:] = [at + 3 * 86_400.0 for at in history.committed_at_seconds[place:]]
    assert _says(history, "s after its time was up")


def test_an_answer_before_its_commit(history: History) -> None:
    _answer(history, lambda one: one.request.kind == "check_out", 201).log_length_rows = 1
    assert _says(history, "told at 1, and placed at")


def test_an_answer_with_another_total(history: History) -> None:
    asked = _answer(history, lambda one: one.request.kind == "check_out", 201)
    assert asked.reply is not None
    asked.reply = replace(asked.reply, body={**asked.reply.body, "total": {"amount": 1, "currency": "GBP"}})
    assert _says(history, "told {'amount': 1") and _says(history, "was told 201")


def test_a_refusal_of_what_was_done(history: History) -> None:
    _answer(history, lambda one: one.request.kind == "add", 200).reply = Reply(409, {"type": "/problems/rule-broken"})
    assert _says(history, "refused with 409, and in the log at")


def test_an_acceptance_of_what_was_not_done(history: History) -> None:
    asked = _answer(history, lambda one: one.request.kind == "add", 409)
    asked.reply = Reply(200, {"cart_id": None}, 1, 1)
    assert _says(history, "accepted, and in the log []")


def test_more_than_the_limit(history: History) -> None:
    _change(history, "product.limited.v1", limit_per_customer=0)
    assert _says(history, "and the limit is 0") and _says(history, "is written down as taken")


def test_an_allowance_that_was_not_given_back(history: History) -> None:
    del history.rows[_place(history, "allowance.given_back.v1")]
    assert _says(history, "and given back was None")


def test_an_allowance_given_back_of_an_order_that_stands(history: History) -> None:
    for topic in ("order.payment_failed.v1", "order.cancelled.v1"):
        history.rows[:] = [row for row in history.rows if row[3] != topic]
    assert _says(history, "and the order stands")


def test_a_limit_that_was_not_reached(history: History) -> None:
    asked = _answer(history, lambda one: one.request.kind == "add", 409)
    figures = {"product_id": "sku-1", "requested": 1, "taken": 1, "limit": 2}
    asked.reply = Reply(409, {"type": "/problems/quantity-limit", **figures})
    assert _says(history, "refused for a limit that is not reached")


def test_a_key_that_began_anew_too_early(history: History) -> None:
    _change(history, "receipt.reopened.v1", timestamp="2026-03-01T08:00:00Z")
    assert _says(history, "after its answer")


def test_a_key_that_bought_and_began_anew(history: History) -> None:
    _change(history, "receipt.answered.v1", status=201)
    assert _says(history, "after it bought order")


def test_a_view_that_is_behind(history: History) -> None:
    stream, view = next(iter(history.views["stock"].items()))
    history.views["stock"][stream] = view.replace(b'"on_hand":', b'"on_hand":1')
    assert _says(history, "shows") and _says(history, "by the log it is")


def test_a_fault_that_the_product_noticed_itself(history: History) -> None:
    history.faults_of_ours.append("batch failed")
    assert _says(history, "batch failed")


def _says(history: History, words: str) -> bool:
    return any(words in line for line in violations(history))


def _entry(history: History, kind: str) -> dict[str, Any]:
    return next(entry for entry in history.books if entry["kind"] == kind)


def _place(history: History, topic: str) -> int:
    return next(place for place, row in enumerate(history.rows) if row[3] == topic)


def _change(history: History, topic: str, **figures: Any) -> None:
    for place, row in enumerate(history.rows):
        if row[3] == topic:
            state = msgspec.json.encode({**msgspec.json.decode(row[4]), **figures})
            history.rows[place] = (*row[:4], state)


def _answer(history: History, wanted: Callable[[Asked], bool], status: int) -> Asked:
    return next(one for one in history.asked if one.reply is not None and one.reply.status == status and wanted(one))
