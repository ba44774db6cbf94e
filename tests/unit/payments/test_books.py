from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from counterfoil.payment_provider.books import Books, BooksDamaged, FailedOnPurpose, KeyReused, UnknownPayment
from counterfoil.payment_provider.tokens import LONGEST_DELAY_MILLISECONDS, Plan, plan_for
from counterfoil.payment_provider.wire import Amount, AuthoriseRequest, Payment, RefundRequest

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
        "tok_capture_timeout",
        "tok_capture_error_then_ok",
        "tok_capture_refused",
    ]
)
UNDER_WAY = {"pending", "processing"}


class BooksMachine(RuleBasedStateMachine):
    """Whatever is asked in whatever order, through restarts: final is final, no more is taken than was held, and no
    more goes back than was taken.
    """

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "books.sqlite"
        self.books = Books(self.path)
        self.now = 1_000.0
        self.seen: dict[str, Payment] = {}
        self.amounts: dict[str, int] = {}
        self.captured: dict[str, int] = {}
        self.refunds: dict[tuple[str, str], int] = {}
        self.told: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "books"):
            self.books.close()
            self.folder.cleanup()

    @rule(key=keys, amount=amounts, token=tokens)
    def authorise(self, key: str, amount: int, token: str) -> None:
        request = AuthoriseRequest("order", Amount(amount, "GBP"), token)
        try:
            payment, is_new = self.books.authorise(key, request, plan_for(token), self.now + 3, self.now)
        except KeyReused:
            assert self.amounts[key] != amount
        except FailedOnPurpose:
            assert token == "tok_error_then_ok"
            assert key not in self.seen
            self.amounts[key] = amount
        else:
            assert self.amounts.setdefault(key, amount) == amount or payment.amount is None
            assert not (is_new and key in self.seen)

    @rule(key=keys, amount=st.sampled_from([0, 1, 5, 10, 11]), currency=st.sampled_from(["GBP", "GBP", "GBP", "EUR"]))
    def capture(self, key: str, amount: int, currency: str) -> None:
        before = self.seen.get(key)
        try:
            capture, is_answered = self.books.capture(key, Amount(amount, currency), self.now)
        except FailedOnPurpose:
            assert before is not None
            assert self.books.find(key) == before
            return
        if capture.status == "captured":
            assert before is not None
            assert capture.amount is not None
            assert is_answered or before.status == "authorised"
            taken = self.captured.setdefault(key, amount)
            assert capture.amount == Amount(taken, "GBP")
            assert 0 < taken <= self.amounts[key]
        elif before is not None and before.status == "authorised" and capture.reason != "not_authorised":
            assert self.books.find(key) == before
            assert currency == "EUR" or not 0 < amount <= self.amounts[key]

    @rule(key=keys)
    def cancel(self, key: str) -> None:
        before = self.seen.get(key)
        payment = self.books.cancel(key, self.now)

        is_final = before is not None and before.status in {"captured", "declined", "cancelled"}
        assert payment == before if is_final else payment.status == "cancelled"

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
    def a_payment_goes_one_way(self) -> None:
        if not hasattr(self, "books"):
            return
        for payment in self.books.page(0, 100)[0]:
            before = self.seen.get(payment.key, payment)
            assert payment.reference == before.reference
            if before.status not in UNDER_WAY and payment.status != before.status:
                assert (before.status, payment.status) in {("authorised", "captured"), ("authorised", "cancelled")}
            if before.status not in UNDER_WAY:
                assert payment.status not in UNDER_WAY
            self.seen[payment.key] = payment

    @invariant()
    def sums_agree(self) -> None:
        if not hasattr(self, "books"):
            return
        summary = self.books.summary()
        captured = {key for key, payment in self.seen.items() if payment.status == "captured"}
        held = {key for key, payment in self.seen.items() if payment.status == "authorised"}
        assert captured == self.captured.keys()
        assert summary.charges.count == len(captured)
        assert summary.charges.amounts.get("GBP", 0) == sum(self.captured.values())
        assert summary.authorised.count == len(held)
        assert summary.authorised.amounts.get("GBP", 0) == sum(self.amounts[key] for key in held)
        assert summary.refunds.amounts.get("GBP", 0) == sum(self.refunds.values())
        for key in {key for key, _ in self.refunds}:
            back = sum(amount for (of, _), amount in self.refunds.items() if of == key)
            assert back == self.seen[key].refunded_amount <= self.captured[key] == self.seen[key].captured_amount


TestBooks = BooksMachine.TestCase


def test_a_webhook_that_was_given_up_is_counted_and_not_tried_again(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")
    request = AuthoriseRequest("o", Amount(1, "GBP"), "tok_webhook")
    books.authorise("k", request, plan_for("tok_webhook"), 10.0, 9.0)
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
    books.authorise("k", AuthoriseRequest("o", Amount(1, "GBP"), "tok_slow_1000"), plan_for("tok_slow_1000"), 10.0, 9.0)

    assert books.settle_due(9.9) == 10.0
    assert books.find("k").status == "processing"
    assert books.settle_due(10.0) is None
    assert books.find("k").status == "authorised"
    books.close()


def test_a_first_attempt_that_failed_is_not_there(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")
    request = AuthoriseRequest("o", Amount(1, "GBP"), "tok_error_then_ok")
    with pytest.raises(FailedOnPurpose):
        books.authorise("k", request, plan_for(request.token), 9.0, 9.0)

    with pytest.raises(UnknownPayment):
        books.find("k")
    assert books.page(0, 10) == ([], None)
    books.close()


def test_calls_made_together_are_written_or_refused_each_for_itself(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")

    def authorise(key: str, minor: int, token: str = "tok_ok") -> str:
        request = AuthoriseRequest("o", Amount(minor, "GBP"), token)
        return books.authorise(key, request, plan_for(token), 9.0, 9.0)[0].status

    results = books.together(
        [
            lambda: authorise("a", 1),
            lambda: authorise("a", 2),
            lambda: authorise("b", 1, "tok_error_then_ok"),
            lambda: books.capture("a", Amount(1, "GBP"), 9.0)[0].status,
            lambda: books.find("nobody").status,
            lambda: authorise("c", 3),
        ]
    )

    assert [result if isinstance(result, str) else type(result) for result in results] == [
        "authorised",
        KeyReused,
        FailedOnPurpose,
        "captured",
        UnknownPayment,
        "authorised",
    ]
    books.close()
    again = Books(tmp_path / "books.sqlite")
    assert [(payment.key, payment.status) for payment in again.page(0, 10)[0]] == [
        ("a", "captured"),
        ("c", "authorised"),
    ]
    assert authorised_now(again, "b") == "authorised"
    again.close()


def authorised_now(books: Books, key: str) -> str:
    request = AuthoriseRequest("o", Amount(1, "GBP"), "tok_error_then_ok")
    return books.authorise(key, request, plan_for(request.token), 9.0, 9.0)[0].status


def test_of_calls_made_together_none_is_written_when_the_disk_fails(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.sqlite")
    request = AuthoriseRequest("o", Amount(1, "GBP"), "tok_ok")

    def fail() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        books.together([lambda: books.authorise("a", request, plan_for("tok_ok"), 9.0, 9.0), fail])

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
        ("tok_capture_timeout", Plan(capture="silent")),
        ("tok_capture_error_then_ok", Plan(capture="fails_first")),
        ("tok_capture_refused", Plan(capture="refused")),
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
