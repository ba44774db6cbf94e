"""What a key was told holds for a while, and then begins anew."""

from __future__ import annotations

from datetime import timedelta

from domain.aggregates import Receipt
from domain.errors import RuleBroken
from domain.events.receipt import ReceiptAnswered, ReceiptReopened
from tests.spec import event, given
from tests.strategies import cause

TTL = timedelta(minutes=60)


def opened() -> Receipt:
    return Receipt.open("customer:ada", "key-1", "digest-a", "order-1", cause())


def test_an_answer_that_has_expired_begins_anew() -> None:
    answered = given(opened(), lambda receipt: receipt.answer(409, "no stock", cause(10)))
    answered.when(lambda receipt: receipt.reopen("digest-b", "order-2", TTL, cause(70))).then(
        event(ReceiptReopened, fingerprint="digest-b", order_id="order-2")
    )


def test_and_is_answered_anew() -> None:
    reopened = given(
        opened(),
        lambda receipt: receipt.answer(409, "no stock", cause(10)),
        lambda receipt: receipt.reopen("digest-b", "order-2", TTL, cause(70)),
    )
    assert not reopened.aggregate.answered
    reopened.when(lambda receipt: receipt.reopen("digest-c", "order-3", TTL, cause(1_000))).then_refused(RuleBroken)
    reopened.when(lambda receipt: receipt.answer(201, "placed", cause(71))).then(
        event(ReceiptAnswered, status=201, body="placed")
    )


def test_until_then_it_holds() -> None:
    answered = given(opened(), lambda receipt: receipt.answer(409, "no stock", cause(10)))
    for minute in (-100.0, 10.0, 69.9):
        too_early = cause(minute)
        answered.when(lambda receipt: receipt.reopen("digest-b", "order-2", TTL, too_early)).then_refused(RuleBroken)  # noqa: B023


def test_what_is_not_answered_never_expires() -> None:
    running = given(opened())
    running.when(lambda receipt: receipt.reopen("digest-a", "order-2", TTL, cause(10**6))).then_refused(RuleBroken)
