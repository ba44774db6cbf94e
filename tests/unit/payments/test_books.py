from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from counterfoil.payment_provider.books import Books, BooksDamaged, FailedOnPurpose, KeyReused, UnknownPayment
from counterfoil.payment_provider.tokens import LONGEST_DELAY_MILLISECONDS, Plan, plan_for
from counterfoil.payment_provider.wire import Amount, ChargeRequest, RefundRequest

keys = st.sampled_from(["a", "b", "c"])
amounts = st.sampled_from([1, 5, 10])
tokens = st.sampled_from(
    [
        "tok_ok",
        "tok_declined",
        "tok_timeout",
        "tok_slow_3000",
        "tok_error_then_ok",
        "tok_webhook",
        "tok_webhook_declined",
    ]
)


class BooksMachine(RuleBasedStateMachine):
    """Whatever is asked in whatever order, through restarts: final is final, and no more goes back than came in."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "books.sqlite"
        self.books = Books(self.path)
        self.now = 1_000.0
        self.final: dict[str, tuple[str, str]] = {}
        self.amounts: dict[str, int] = {}
        self.refunds: dict[tuple[str, str], int] = {}
        self.told: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "books"):
            self.books.close()
            self.folder.cleanup()

    @rule(key=keys, amount=amounts, token=tokens)
    def charge(self, key: str, amount: int, token: str) -> None:
        request = ChargeRequest("order", Amount(amount, "GBP"), token)
        try:
            payment, is_new = self.books.charge(key, request, plan_for(token), self.now + 3, self.now)
        except KeyReused:
            assert self.amounts[key] != amount
        except FailedOnPurpose:
            assert token == "tok_error_then_ok"
            assert key not in self.final
            self.amounts[key] = amount
        else:
            assert self.amounts.setdefault(key, amount) == amount or payment.amount is None
            assert not (is_new and key in self.final)

    @rule(key=keys)
    def cancel(self, key: str) -> None:
        payment = self.books.cancel(key, self.now)

        assert payment.status in {"cancelled", "charged", "declined"}

    @rule(key=keys, refund_key=st.sampled_from(["r1", "r2", "r3"]), amount=amounts)
    def refund(self, key: str, refund_key: str, amount: int) -> None:
        try:
            refund = self.books.refund(key, RefundRequest(refund_key, Amount(amount, "GBP")), self.now)
        except KeyReused:
            assert self.refunds[key, refund_key] != amount
        else:
            if refund.status == "refunded":
                assert self.refunds.setdefault((key, refund_key), amount) == amount
            else:
                assert (key, refund_key) not in self.refunds

    @rule(seconds=st.integers(1, 4))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        next_due = self.books.settle_due(self.now)

        assert next_due is None or next_due > self.now

    @rule(taken=st.booleans())
    def deliver(self, taken: bool) -> None:
        for delivery in self.books.due_deliveries(self.now, 10):
            assert delivery.event_id not in self.told
            if taken:
                self.books.delivered(delivery.event_id)
                self.told.add(delivery.event_id)
            else:
                self.books.not_delivered(delivery.event_id, self.now + 1)

    @rule()
    def restart(self) -> None:
        self.books.close()
        self.books = Books(self.path)

    @invariant()
    def final_is_final(self) -> None:
        if not hasattr(self, "books"):
            return
        for payment in self.books.page(0, 100)[0]:
            if payment.status in {"charged", "declined", "cancelled"}:
                assert self.final.setdefault(payment.key, (payment.status, payment.reference)) == (
                    payment.status,
                    payment.reference,
                )
            else:
                assert payment.key not in self.final

    @invariant()
    def sums_agree(self) -> None:
        if not hasattr(self, "books"):
            return
        summary = self.books.summary()
        charged = {key for key, (status, _) in self.final.items() if status == "charged"}
        assert summary.charges.count == len(charged)
        assert summary.charges.amounts.get("GBP", 0) == sum(self.amounts[key] for key in charged)
        assert summary.refunds.amounts.get("GBP", 0) == sum(self.refunds.values())
        for key in {key for key, _ in self.refunds}:
            assert key in charged
            assert sum(amount for (of, _), amount in self.refunds.items() if of == key) <= self.amounts[key]


TestBooks = BooksMachine.TestCase


def test_a_webhook_that_was_given_up_is_counted_and_not_tried_again(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")
    request = ChargeRequest("o", Amount(1, "GBP"), "tok_webhook")
    books.charge("k", request, plan_for("tok_webhook"), 10.0, 9.0)
    assert books.due_deliveries(10.0, 10) == []
    assert books.settle_due(10.0) is None

    (delivery,) = books.due_deliveries(10.0, 10)
    books.not_delivered(delivery.event_id, 20.0)
    assert books.due_deliveries(19.0, 10) == []
    assert books.next_delivery_at() == 20.0
    (again,) = books.due_deliveries(20.0, 10)
    assert (again.event_id, again.body, again.attempts_count) == (delivery.event_id, delivery.body, 1)
    books.not_delivered(delivery.event_id, None)

    assert books.due_deliveries(1e9, 10) == []
    assert books.next_delivery_at() is None
    assert books.summary().webhooks.abandoned == 1
    books.close()


def test_what_is_due_is_settled_not_before_its_time(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")
    books.charge("k", ChargeRequest("o", Amount(1, "GBP"), "tok_slow_1000"), plan_for("tok_slow_1000"), 10.0, 9.0)

    assert books.settle_due(9.9) == 10.0
    assert books.find("k").status == "processing"
    assert books.settle_due(10.0) is None
    assert books.find("k").status == "charged"
    books.close()


def test_a_first_attempt_that_failed_is_not_there(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")
    request = ChargeRequest("o", Amount(1, "GBP"), "tok_error_then_ok")
    with pytest.raises(FailedOnPurpose):
        books.charge("k", request, plan_for(request.token), 9.0, 9.0)

    with pytest.raises(UnknownPayment):
        books.find("k")
    assert books.page(0, 10) == ([], None)
    books.close()


def test_the_books_are_on_the_disk_when_a_call_returns(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")
    with sqlite3.connect(tmp_path / "books.sqlite") as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    assert books._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    books.close()


def test_a_file_that_is_no_book_is_refused(tmp_path: Path) -> None:
    (tmp_path / "books.sqlite").write_bytes(b"a shopping list" * 1000)

    with pytest.raises(BooksDamaged):
        Books(tmp_path / "books.sqlite")


@pytest.mark.parametrize(
    ("token", "plan"),
    [
        ("tok_ok", Plan()),
        ("tok_slow_0", Plan("slow")),
        ("tok_slow_60000", Plan("slow", delay_milliseconds=LONGEST_DELAY_MILLISECONDS)),
        ("tok_slow_60001", Plan(reason="unknown_token")),
        ("tok_slow_1e3", Plan(reason="unknown_token")),
        ("tok_slow_٣", Plan(reason="unknown_token")),
        (" tok_ok", Plan(reason="unknown_token")),
        ("tok_slow_10\n", Plan(reason="unknown_token")),
    ],
)
def test_what_a_token_means(token: str, plan: Plan) -> None:
    assert plan_for(token) == plan
